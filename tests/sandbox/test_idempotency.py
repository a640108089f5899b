import asyncio
from typing import TYPE_CHECKING

import aiohttp
import pytest

from stripe_sandbox.sandbox import Sandbox

if TYPE_CHECKING:
    from tests.sandbox.conftest import Http, Reply

INTENTS = "/v1/payment_intents"


async def _count(http: "Http") -> int:
    return len((await http.get(f"{INTENTS}?limit=100")).body["data"])


async def test_a_repeat_is_answered_from_memory(http: "Http") -> None:
    """The same key and parameters give the same bytes, say so, and charge nothing again."""
    first = await http.pay(key="k-1")
    second = await http.pay(key="k-1")

    assert (200, first.body) == (second.status, second.body)
    assert (
        first.headers.get("Idempotent-Replayed"),
        second.headers.get("Idempotent-Replayed"),
    ) == (None, "true")
    assert first.headers["Request-Id"] == second.headers["Original-Request"]
    assert first.headers["Request-Id"] != second.headers["Request-Id"]
    assert second.headers["Idempotency-Key"] == "k-1"
    assert await _count(http) == 1


async def test_the_order_of_parameters_does_not_matter(http: "Http") -> None:
    """What is compared is the parameters, not the bytes that carried them."""
    await http.post(INTENTS, "amount=500&currency=usd&metadata[a]=1", key="k")
    again = await http.post(INTENTS, "metadata%5Ba%5D=1&currency=usd&amount=500", key="k")

    assert (again.status, again.headers.get("Idempotent-Replayed")) == (200, "true")


async def test_a_decline_is_remembered(http: "Http") -> None:
    """A 402 is an outcome: the same key never tries the card again."""
    first = await http.pay("pm_card_chargeDeclined", key="k")
    second = await http.pay("pm_card_chargeDeclined", key="k")

    assert (402, first.body, "true") == (second.status, second.body, second.headers.get("Idempotent-Replayed"))
    assert len((await http.get("/v1/charges")).body["data"]) == 1


async def test_other_parameters_under_a_key_are_refused(http: "Http") -> None:
    """A key belongs to the parameters it was first used with."""
    await http.pay(key="k")
    refused = await http.pay(key="k", amount="2999")

    assert (refused.status, refused.error["type"]) == (400, "idempotency_error")
    assert "same parameters they were first used with" in refused.error["message"]
    assert await _count(http) == 1


async def test_a_key_belongs_to_its_endpoint(http: "Http") -> None:
    """The same key and parameters at another address are refused, not answered for the wrong object."""
    one, other = [(await http.post(INTENTS, "amount=500&currency=usd")).body["id"] for _ in range(2)]
    await http.post(f"{INTENTS}/{one}/cancel", key="k")

    refused = await http.post(f"{INTENTS}/{other}/cancel", key="k")

    assert (refused.status, refused.error["type"]) == (400, "idempotency_error")
    assert f"{INTENTS}/{one}/cancel" in refused.error["message"]


async def test_what_is_found_invalid_late_is_not_kept_either(http: "Http") -> None:
    """Too many metadata keys show only beside those already there; the key is free all the same."""
    form = "amount=500&currency=usd" + "".join(f"&metadata[a{number}]=1" for number in range(30))
    intent = (await http.post(INTENTS, form)).body["id"]

    invalid = await http.post(
        f"{INTENTS}/{intent}", "&".join(f"metadata[b{number}]=1" for number in range(30)), key="k"
    )
    good = await http.post(f"{INTENTS}/{intent}", "metadata[b]=1", key="k")

    assert (invalid.status, good.status, len(good.body["metadata"])) == (400, 200, 31)


async def test_nothing_is_kept_when_nothing_was_executed(http: "Http") -> None:
    """After a validation error or a 401 the key is still free for the right request."""
    invalid = await http.post(INTENTS, "amount=five&currency=usd", key="k")
    unauthorized = await http.send(
        "POST", INTENTS, {"amount": "500"}, {"Authorization": "Bearer no", "Idempotency-Key": "k"}
    )
    good = await http.post(INTENTS, "amount=500&currency=usd", key="k")

    assert [invalid.status, unauthorized.status, good.status] == [400, 401, 200]
    assert "Idempotent-Replayed" not in good.headers


async def test_a_refusal_after_execution_began_is_kept(http: "Http") -> None:
    """A 400 about an object's state is an outcome too."""
    intent = (await http.pay()).body["id"]

    first = await http.post(f"{INTENTS}/{intent}/cancel", key="k")
    second = await http.post(f"{INTENTS}/{intent}/cancel", key="k")

    assert (400, first.body, "true") == (second.status, second.body, second.headers.get("Idempotent-Replayed"))


async def test_keys_are_forgotten_after_a_day(http: "Http") -> None:
    """From 24 hours on, the same key is a new request: whoever relies on more is charged twice."""
    first = await http.pay(key="k")
    await http.advance(86_399)
    kept = await http.pay(key="k")
    await http.advance(1)
    forgotten = await http.pay(key="k")

    assert first.body["id"] == kept.body["id"]
    assert first.body["id"] != forgotten.body["id"]


async def test_test_and_live_keys_do_not_meet(http: "Http") -> None:
    """An idempotency key in live mode says nothing in test mode."""
    await http.post(INTENTS, "amount=500&currency=usd", key="k")
    live = await http.send(
        "POST",
        INTENTS,
        {"amount": "900", "currency": "usd"},
        {"Authorization": "Bearer sk_live_x", "Idempotency-Key": "k"},
    )

    assert (live.status, live.body["livemode"]) == (200, True)


async def test_a_key_is_at_most_255_characters(http: "Http") -> None:
    """A longer key is refused."""
    longest = await http.post(INTENTS, "amount=500&currency=usd", key="k" * 255)
    longer = await http.post(INTENTS, "amount=500&currency=usd", key="k" * 256)

    assert [longest.status, longer.status] == [200, 400]


async def test_a_key_must_fit_into_a_header(http: "Http") -> None:
    """A key that could not be given back as it came is refused."""
    refused = await http.post(INTENTS, "amount=500&currency=usd", key="clé")

    assert refused.status == 400
    assert "Idempotency-Key" not in refused.headers


async def test_gets_pay_no_attention_to_keys(http: "Http") -> None:
    """Reading twice under one key reads twice."""
    intent = (await http.post(INTENTS, "amount=500&currency=usd")).body["id"]
    key = {"Idempotency-Key": "k"}
    before = await http.get(f"{INTENTS}/{intent}", **key)
    await http.post(f"{INTENTS}/{intent}/cancel")
    after = await http.get(f"{INTENTS}/{intent}", **key)

    assert [before.body["status"], after.body["status"]] == ["requires_payment_method", "canceled"]


async def test_a_key_in_use_is_409() -> None:
    """While a request is under way its key answers nobody else; afterwards it answers with the outcome."""
    async with Sandbox(latency_seconds=0.3).serve() as server, aiohttp.ClientSession() as session:

        async def pay() -> tuple[int, str, str | None]:
            async with session.post(
                f"{server.url}/v1/payment_intents",
                data={"amount": "500", "currency": "usd"},
                headers={"Authorization": "Bearer sk_test_x", "Idempotency-Key": "k"},
            ) as answer:
                body = await answer.json()
                return answer.status, body.get("error", {}).get("code"), answer.headers.get("Stripe-Should-Retry")

        together = await asyncio.gather(pay(), pay())
        later = await pay()

    assert sorted(together, key=lambda reply: reply[0]) == [(200, None, None), (409, "idempotency_key_in_use", "true")]
    assert later[0] == 200


async def test_who_hangs_up_is_charged_all_the_same() -> None:
    """A client that goes away before the answer finds it under its key."""
    async with Sandbox(latency_seconds=0.2).serve() as server, aiohttp.ClientSession() as session:

        async def pay() -> str | None:
            async with session.post(
                f"{server.url}/v1/payment_intents",
                data={"amount": "500", "currency": "usd"},
                headers={"Authorization": "Bearer sk_test_x", "Idempotency-Key": "k"},
            ) as answer:
                return answer.headers.get("Idempotent-Replayed")

        waiting = asyncio.create_task(pay())
        async with asyncio.timeout(20):
            while not server.sandbox._modes[False].keys._running:  # noqa: ASYNC110 - only the state tells it is taken
                await asyncio.sleep(0.01)
            waiting.cancel()
            while not len(server.sandbox.log):  # noqa: ASYNC110 - answered, but to nobody who could tell
                await asyncio.sleep(0.01)

        assert await pay() == "true"
    assert waiting.cancelled()


@pytest.mark.parametrize("count", [20])
async def test_of_many_at_once_one_is_executed(http: "Http", count: int) -> None:
    """However many send the same key together, there is one PaymentIntent."""
    replies: list[Reply] = await asyncio.gather(*(http.pay(key="k") for _ in range(count)))

    assert len({reply.body["id"] for reply in replies if reply.status == 200}) == 1
    assert {200} | {reply.status for reply in replies} <= {200, 409}
    assert await _count(http) == 1
