"""The worker as a process tells customers how their payments ended, once each, and writes down nobody's address."""

import asyncio
from collections import Counter
from pathlib import Path

import httpx
from tests.certificates import certificate
from tests.mail_server import MailServer, Mood, mail_server
from tests.stage import Running, Stage, authority, becomes, fetch, order

SENDER = "Shop <orders@shop.example>"


def start_worker(stage: Stage, server: MailServer, **settings: str) -> Running:
    return stage.start("worker", SMTP_URL=server.url, MAIL_FROM=SENDER, PUBLIC_URL="https://pay.example", **settings)


async def test_each_payment_is_told_once_though_a_worker_dies(stage: Stage, http: httpx.AsyncClient) -> None:
    """Killed with letters under way, whose server keeps none: another worker takes over, each customer has one letter.

    No log of any process holds an address, though the mail server repeats it in each refusal.
    """
    async with mail_server() as server:
        gateway = stage.start("gateway")
        server.mood = Mood.HANGS
        doomed = await asyncio.to_thread(start_worker, stage, server)
        headers, methods = await authority(stage), ["pm_card_visa"] * 7 + ["pm_card_chargeDeclined"]
        orders = [
            order(number, payment_method=method, customer_email=f"kim{number}@customer.example")
            for number, method in enumerate(methods)
        ]
        await asyncio.gather(*(http.post(f"{gateway.url}/charge", json=one, headers=headers) for one in orders))
        await asyncio.wait_for(server.begun.wait(), 60)
        await asyncio.to_thread(doomed.kill)
        server.mood = Mood.GREYLISTS
        await fetch(stage, "UPDATE effects SET claim_expires_at = now() WHERE claimed_by IS NOT NULL RETURNING kind")
        worker = await asyncio.to_thread(start_worker, stage, server)
        refused = "SELECT count(*) FROM effects WHERE reason = 'the mail server refuses the recipient (451)'"
        await becomes([(8,)], lambda: fetch(stage, refused), seconds=60)
        server.mood = Mood.TAKES
        await fetch(stage, "UPDATE effects SET next_try_at = now() WHERE state = 'waiting' RETURNING kind")

        done = (
            "SELECT kind, count(*) FROM effects WHERE state = 'done' AND kind NOT LIKE 'stock%' GROUP BY 1 ORDER BY 1"
        )
        await becomes([("customer_notice", 1), ("receipt", 7)], lambda: fetch(stage, done), seconds=60)
        names = {"succeeded": "receipt", "failed": "notice"}
        payments = await fetch(stage, "SELECT id, state FROM payments")
        assert server.kinds() == sorted(f"{payment_id}.{names[state]}" for payment_id, state in payments)
        assert Counter(server.recipients) == Counter(one["customer_email"] for one in orders)
        assert "customer.example" not in "".join(running.log() for running in (gateway, doomed, worker))


async def test_a_letter_waits_for_a_good_certificate(stage: Stage, tmp_path: Path, http: httpx.AsyncClient) -> None:
    """A mail server that cannot prove who it is gets no letter; the letter says why it waits, and goes once it can."""
    ours, shown = certificate(tmp_path, "ours"), certificate(tmp_path, "stranger").shown()
    async with mail_server(scheme="smtp+starttls", shows=shown) as server:
        gateway = stage.start("gateway")
        await asyncio.to_thread(start_worker, stage, server, SSL_CERT_FILE=str(ours.file))
        one = order(1, customer_email="kim@customer.example")
        await http.post(f"{gateway.url}/charge", json=one, headers=await authority(stage))
        standing = "SELECT state, reason FROM effects WHERE kind = 'receipt'"
        why = "the mail server shows a certificate that is not good (self-signed certificate)"
        await becomes([("waiting", why)], lambda: fetch(stage, standing))
        assert server.kept == []

        ours.replace_in(shown)
        await fetch(stage, "UPDATE effects SET next_try_at = now() WHERE state = 'waiting' RETURNING kind")

        await becomes([("done", None)], lambda: fetch(stage, standing))
        assert (len(server.kept), server.encrypted) == (1, [True])
