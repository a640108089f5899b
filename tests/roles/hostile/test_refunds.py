"""Money asked back by whoever has a token (group R of the vectors, and the rows about Idempotency-Key of group K)."""

import asyncio
import json
from collections import Counter

import pytest
from tests.roles.hostile.door import Answer, Door, Row, is_refusal, raw
from tests.stage import fetch

KEY = b"Idempotency-Key: refund-key"


async def paid(gateway: Door, name: str, **changes: str) -> str:
    """Charge an order and return its payment's id."""
    answer = await gateway.send(gateway.request(raw(name, **changes)))
    payment_id: str = answer.said()["payment_id"]
    return payment_id


def refund(gateway: Door, payment_id: str, body: bytes, *headers: bytes) -> bytes:
    """Return the bytes that ask money back."""
    return gateway.request(body, *headers, line=b"POST /payments/%b/refunds HTTP/1.1" % payment_id.encode())


async def ask(gateway: Door, payment_id: str, key: bytes = KEY, **wanted: object) -> Answer:
    """Ask money back."""
    return await gateway.send(refund(gateway, payment_id, json.dumps(wanted).encode(), key))


async def reserved(gateway: Door, payment_id: str) -> tuple[int, int]:
    """Return how much of a payment is asked back, and by how many refunds."""
    amounts = dict(await fetch(gateway.stage, "SELECT id::text, amount_refund_reserved FROM payments"))
    refunds = await fetch(gateway.stage, "SELECT payment_id::text FROM refunds")
    return amounts[payment_id], refunds.count((payment_id,))


UNKEYED = [
    Row("K08", lambda _door: b""),
    Row("K11", lambda _door: b"Idempotency-Key: bell\x07", variant="refund-bell"),
    Row("K11", lambda _door: "Idempotency-Key: clé".encode(), variant="refund-not-ASCII"),
    Row("K11", lambda _door: b"Idempotency-Key: two words", variant="refund-a-space"),
    Row("K12", lambda _door: b"Idempotency-Key: one\r\nIdempotency-Key: two"),
    Row("K12", lambda _door: b"Idempotency-Key: one\r\nIdempotency-Key: one", variant="the-same"),
]
"""Each makes the header lines of a refund."""


@pytest.mark.parametrize("row", UNKEYED, ids=Row.shown)
async def test_a_refund_needs_one_proper_key(gateway: Door, row: Row) -> None:
    """None, two, and what is no key are refused; nothing is reserved, and the next is served."""
    payment_id = await paid(gateway, f"unkeyed-{row.shown()}")
    lines = [line for line in row.sent(gateway).split(b"\r\n") if line]

    answer = await gateway.send(refund(gateway, payment_id, b"{}", *lines))

    is_refusal(answer, row)
    assert await reserved(gateway, payment_id) == (0, 0)
    await gateway.serves()


REFUSED = [
    Row("A32", lambda _door: b'{"amount": 1, "currency": "USD"}', 422, "amount-refused", reason="currency_differs"),
    Row("R09", lambda _door: b'{"amount": 0}'),
    Row("R09", lambda _door: b'{"amount": -1}', variant="negative"),
    Row("R09", lambda _door: b'{"amount": 1.0}', variant="a-fraction"),
    Row("R09", lambda _door: b'{"amount": "1"}', variant="text"),
    Row("R09", lambda _door: b'{"amount": 1, "all": true}', variant="another-field"),
]
"""Each makes the body of a refund."""


@pytest.mark.parametrize("row", REFUSED, ids=Row.shown)
async def test_what_is_no_amount_of_the_payment_is_refused(gateway: Door, row: Row) -> None:
    """Nothing is reserved, and the key stays good for a proper refund."""
    payment_id = await paid(gateway, f"refused-{row.shown()}")

    is_refusal(await gateway.send(refund(gateway, payment_id, row.sent(gateway), KEY)), row)

    assert await reserved(gateway, payment_id) == (0, 0)
    assert (await ask(gateway, payment_id, amount=1)).status == 202


async def test_k13_spaces_around_a_key_are_no_part_of_it(gateway: Door) -> None:
    """HTTP says so: it is the same refund."""
    payment_id = await paid(gateway, "spaces")

    first = await ask(gateway, payment_id, amount=500)
    again = await ask(gateway, payment_id, b"Idempotency-Key:  \t refund-key \t", amount=500)

    assert (first.status, again.status, again.headers["idempotent-replayed"]) == (202, 202, "true")
    assert again.said()["refund_id"] == first.said()["refund_id"]
    assert await reserved(gateway, payment_id) == (500, 1)


async def test_r04_r05_what_was_not_taken_cannot_be_given_back(gateway: Door) -> None:
    """While the outcome is open (R04) and after a decline (R05) it is 409, which says how the payment stands."""
    consent = json.dumps({"accepted_at": "2026-03-01T12:00:00Z", "ip_address": "192.0.2.7", "user_agent": "a browser"})
    for name, method, status in (
        ("open", "pm_card_threeDSecure2Required", "requires_action"),
        ("with-the-bank", "pm_sepaDebit_success_de", "processing"),
        ("declined", "pm_card_visa_chargeDeclined", "failed"),
    ):
        mandate = {"mandate": consent} if status == "processing" else {}
        payment_id = await paid(gateway, name, payment_method=f'"{method}"', **mandate)
        answer = await ask(gateway, payment_id, amount=1)
        is_refusal(answer, Row("R04", lambda door: door.request(), 409, "wrong-state"))
        assert answer.said()["payment_status"] == status


async def test_r07_captured_and_one_more_by_two_at_once_is_one_refund(gateway: Door) -> None:
    """One 202 and one 422, whichever comes first."""
    payment_id = await paid(gateway, "two-at-once")

    answers = await asyncio.gather(
        ask(gateway, payment_id, b"Idempotency-Key: first", amount=1000),
        ask(gateway, payment_id, b"Idempotency-Key: second", amount=1000),
    )

    assert sorted(answer.status for answer in answers) == [202, 422]
    assert await reserved(gateway, payment_id) == (1000, 1)


async def test_r11_a_key_is_spent_on_one_refund(gateway: Door) -> None:
    """The same key with another amount is 422, and nothing more is reserved."""
    payment_id = await paid(gateway, "spent")
    await ask(gateway, payment_id, amount=500)

    answer = await ask(gateway, payment_id, amount=501)

    is_refusal(answer, Row("R11", lambda door: door.request(), 422, "idempotency-key-reused", [b"501"]))
    assert await reserved(gateway, payment_id) == (500, 1)


async def test_fifty_at_once_reserve_exactly_what_there_is(gateway: Door) -> None:
    """Of fifty who each ask 100 of 1999 back, nineteen are taken and all others told that so much is not left."""
    payment_id = await paid(gateway, "fifty")

    async def one(number: int) -> int:
        for _ in range(20):
            answer = await ask(gateway, payment_id, b"Idempotency-Key: fifty-%d" % number, amount=100)
            if answer.status != 503:  # a database that is slow today says: again, with the same key
                return answer.status
        return 503

    counted = Counter(await asyncio.gather(*(one(number) for number in range(50))))

    assert counted == {202: 19, 422: 31}
    assert await reserved(gateway, payment_id) == (1900, 19)
