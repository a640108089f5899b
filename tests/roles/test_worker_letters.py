"""The worker as a process tells customers how their payments ended, once each, and writes down nobody's address."""

import asyncio
from collections import Counter

import httpx
from tests.mail_server import MailServer, Mood, mail_server
from tests.stage import Running, Stage, authority, becomes, fetch, order

SENDER = "Shop <orders@shop.example>"


def start_worker(stage: Stage, server: MailServer) -> Running:
    return stage.start("worker", SMTP_URL=server.url, MAIL_FROM=SENDER, PUBLIC_URL="https://pay.example")


async def test_each_payment_is_told_once_by_two_workers_that_may_die(stage: Stage, http: httpx.AsyncClient) -> None:
    """Answers and webhooks race, and one worker is killed with letters under way: each customer has one letter.

    No log of any process holds an address, though the mail server repeats it in each refusal.
    """
    async with mail_server() as server:
        receiver, gateway = stage.start_registered_receiver(), stage.start("gateway")
        server.mood = Mood.HANGS
        doomed = await asyncio.to_thread(start_worker, stage, server)
        headers, methods = await authority(stage), ["pm_card_visa"] * 7 + ["pm_card_chargeDeclined"]
        orders = [
            order(number, payment_method=method, customer_email=f"kim{number}@customer.example")
            for number, method in enumerate(methods)
        ]
        await asyncio.gather(*(http.post(f"{gateway.url}/charge", json=one, headers=headers) for one in orders))
        await asyncio.wait_for(server.begun.wait(), 30)
        await asyncio.to_thread(doomed.kill)
        server.mood = Mood.GREYLISTS
        await fetch(stage, "UPDATE effects SET claim_expires_at = now() WHERE claimed_by IS NOT NULL RETURNING kind")
        workers = [await asyncio.to_thread(start_worker, stage, server) for _ in range(2)]
        refused = "SELECT count(*) FROM effects WHERE reason = 'the mail server refuses the recipient (451)'"
        await becomes([(8,)], lambda: fetch(stage, refused))
        server.mood = Mood.TAKES
        await fetch(stage, "UPDATE effects SET next_try_at = now() WHERE state = 'waiting' RETURNING kind")

        await becomes(
            [("customer_notice", 1), ("receipt", 7)],
            lambda: fetch(stage, "SELECT kind, count(*) FROM effects WHERE state = 'done' GROUP BY kind ORDER BY kind"),
        )
        payments = await fetch(stage, "SELECT id, state FROM payments")
        names = {"succeeded": "receipt", "failed": "notice"}
        assert server.kinds() == sorted(f"{payment_id}.{names[state]}" for payment_id, state in payments)
        assert Counter(server.recipients) == Counter(one["customer_email"] for one in orders)
        logs = "".join(running.log() for running in (receiver, gateway, doomed, *workers))
        assert "customer.example" not in logs
