"""Orders whose JSON is none or says two things at once, and amounts that cannot be (groups J and A of the vectors)."""

import json
import re

import asyncpg
import httpx
import pytest
from tests.roles.hostile.conftest import new_token
from tests.roles.hostile.door import Door, Row, body, charging, raw, without
from tests.stage import Stage, becomes
from tests.store.test_amounts import PAYMENTS

from counterfoil.store import amounts
from counterfoil.store.tokens import Scope

CARD_DATA = "card-data-not-accepted"
CARD = "4242 4242 4242 4242"
WHOLE = "amount_not_a_multiple"


def metadata(value: object) -> bytes:
    return raw(metadata=json.dumps(value))


BODIES = [
    Row("J01", body(b"")),
    Row("J02", body(b"null")),
    Row("J06", body(raw() + b"SENTINEL"), hostile=[b"SENTINEL"]),
    Row("J07", body(raw() + raw())),
    Row("J09", body(raw(customer_id='"SENTINEL"').replace(b"SENTINEL", b"cus\xff")), hostile=[b"cus"]),
    Row("J10", body(raw(customer_id=r'"cus\ud800"')), hostile=[b"cus", b"d800"]),
    Row("J11", body(raw(customer_id=r'"cus\u0000"')), hostile=[b"cus", b"u0000"]),
    Row("J12", body(raw().replace(b"}", b',"amount_cents":54321}')), hostile=[b"54321", b"1999"]),
    Row("J13", body(raw(amount_cents="NaN")), hostile=[b"NaN"]),
    Row("J13", body(raw(amount_cents="Infinity")), hostile=[b"Infinity"], variant="infinity"),
    Row("J13", body(raw(amount_cents="-Infinity")), hostile=[b"Infinity"], variant="minus"),
    Row("J15", body(raw(items="[" * 10_000 + "]" * 10_000)), hostile=[b"[["]),
    Row("J15", body(b'{"a":' * 10_000 + b"1" + b"}" * 10_000), hostile=[b'"a"'], variant="objects"),
    Row("J17", body(raw(amount_cents="7" * 60_000)), hostile=[b"777"]),
    # Over 64 KiB: refused for its size before a digit of it is read.
    Row("J17", body(raw(amount_cents="7" * 1_000_000)), 413, "too-large", [b"777"], "a-million"),
    Row("J20", body(raw(livemode="false")), hostile=[b"false"]),
    Row("J21", body(raw(__proto__='{"SENTINEL":1}')), hostile=[b"SENTINEL"]),
    Row("J21", body(metadata({"constructor": "SENTINEL"})), hostile=[b"SENTINEL"], variant="constructor"),
    Row("J22", body(metadata({f"key{number}": "SENTINEL" for number in range(51)})), hostile=[b"SENTINEL", b"key5"]),
    Row("J23", body(metadata({"k" * 41: "SENTINEL"})), hostile=[b"SENTINEL"]),
    Row("J23", body(metadata({"note": "v" * 501})), hostile=[b"vvv"], variant="value"),
    Row("J24", body(metadata({"note": {"deep": "SENTINEL"}})), hostile=[b"SENTINEL", b"deep"]),
    Row("J25", body(metadata({"note": CARD})), 400, CARD_DATA, [b"4242"]),
    Row("J26", body(raw(cvc='"987"')), 400, CARD_DATA, [b"987"]),
    Row("J26", body(metadata({"card[number]": "987"})), 400, CARD_DATA, [b"987", b"card["], "in-metadata"),
    # An order has no description; whatever is no field of it is refused, however long.
    Row("J27", body(raw(description=json.dumps("d" * 5000))), hostile=[b"ddd"]),
]


AMOUNTS = [
    Row("A01", body(without("amount_cents"))),
    Row("A03", body(raw(amount_cents='"1999"')), hostile=[b"1999"]),
    Row("A04", body(raw(amount_cents="19.99")), hostile=[b"19.99"]),
    Row("A05", body(raw(amount_cents="1999.0")), hostile=[b"1999"]),
    Row("A06", body(raw(amount_cents="1e3")), hostile=[b"1e3"]),
    Row("A07", body(raw(amount_cents="true")), hostile=[b"true"]),
    Row(
        "A14",
        body(raw(amount_cents="100000000", currency='"usd"')),
        422,
        "amount-refused",
        [b"100000000"],
        reason="amount_too_large",
    ),
    Row("A15", body(raw(amount_cents="2147483648")), 422, "amount-refused", [b"2147483648"], reason="amount_too_large"),
    Row("A17", body(raw(amount_cents="9223372036854775808")), hostile=[b"9223372036854775808"]),
    Row("A18", body(raw(amount_cents="1" + "0" * 100)), hostile=[b"0000"]),
    Row("A19", body(without("currency"))),
    Row("A22", body(raw(currency='"xxx"')), 422, "amount-refused", [b"xxx"], reason="currency_not_supported"),
    Row("A24", body(raw(currency='"ușd"')), hostile=["ușd".encode(), rb"\u0219"]),
    Row("A24", body(raw(currency='"ｕｓｄ"')), hostile=["ｕｓｄ".encode(), b"uff55"], variant="full-width"),
    Row("A27", body(raw(amount_cents="1999.5", currency='"jpy"')), hostile=[b"1999.5"]),
    *(
        Row(
            "A30",
            body(raw(amount_cents="150", currency=f'"{one}"')),
            422,
            "amount-refused",
            [b"150"],
            one,
            reason=WHOLE,
        )
        for one in ("ugx", "isk")
    ),
]


@pytest.mark.parametrize("row", [*BODIES, *AMOUNTS], ids=Row.shown)
async def test_what_is_not_one_unambiguous_order_is_refused(gateway: Door, row: Row) -> None:
    """It is a problem of its kind that repeats nothing, nothing is written or sent, and the next order is charged."""
    await gateway.refuses(row)


async def test_j29_markup_is_text(gateway: Door) -> None:
    """A tag in an order's id or metadata is taken and comes back as it is, in JSON that no browser takes for a page."""
    tag = "<script>alert(1)</script>"
    sent = raw("tag", order_id=json.dumps(tag), metadata=json.dumps({"note": tag}))

    answer = await gateway.accepts(gateway.request(sent))

    assert (answer.said()["order_id"], answer.headers["content-type"]) == (tag, "application/json")
    assert answer.headers["x-content-type-options"] == "nosniff"


ACCEPTED = {
    "A12": (50, "usd"),
    "A13": (99_999_999, "usd"),
    "A20": (1999, "USD"),
    "A26": (199_900, "jpy"),
    "A29": (1000, "kwd"),
    "A31": (5000, "mga"),
}


@pytest.mark.parametrize("name", ACCEPTED)
async def test_what_can_be_charged_goes_on_as_it_came(gateway: Door, name: str) -> None:
    """The amount is multiplied by nothing on its way to Stripe; the currency is lower case there and upper with us."""
    amount, currency = ACCEPTED[name]

    answer = await gateway.send(
        gateway.request(raw(name, amount_cents=str(amount), currency=f'"{currency}"')),
    )

    said, sent = answer.said(), (await gateway.last_sent())["body"].split("&")
    assert (answer.status, said["status"]) == (200, "succeeded")
    assert (said["amount"], said["amount_captured"], said["currency"]) == (amount, amount, currency.upper())
    assert {f"amount={amount}", f"currency={currency.lower()}"} <= set(sent)


async def test_a26_what_asks_for_unusually_much_is_taken_and_told_of(stage: Stage, http: httpx.AsyncClient) -> None:
    """A hundred times too many yen are charged as they came, for they may be meant; a metric and the log name them."""
    connection = await asyncpg.connect(stage.database_url)
    await connection.execute(PAYMENTS, 2 * amounts.FEWEST, "JPY")
    await connection.close()
    running = stage.start("gateway")
    door = charging(stage, running, await new_token(stage, "shop", Scope.CHARGE))

    async def measured(name: str) -> float:
        text = (await http.get(f"{running.url}/metrics")).text
        found = re.search(rf'^counterfoil_{name}{{currency="JPY"}} (\S+)', text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    await becomes(1998.0, lambda: measured("usual_amount"))
    answers = [
        await door.send(door.request(raw(f"yen-{yen}", amount_cents=str(yen), currency='"JPY"')))
        for yen in (1998, 199_900)
    ]

    assert [(answer.status, answer.said()["amount_captured"]) for answer in answers] == [(200, 1998), (200, 199_900)]
    assert await measured("unusual_amounts_total") == 1
    lines = [json.loads(line) for line in running.log().splitlines() if "charge.unusual_amount" in line]
    assert [line["payment_id"] for line in lines] == [answers[1].said()["payment_id"]]
