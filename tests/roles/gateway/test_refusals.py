"""What the gateway does not take, how it says so, and that nothing comes of it."""

import json
from typing import Any

import httpx
import pytest
from tests.roles.gateway.conftest import Counter
from tests.stage import order

PAN = "4242 4242 4242 4242"


def raw(**changes: Any) -> bytes:
    """The bytes of an order in which given values stand as they are, even if they are no JSON."""
    fields = {name: json.dumps(value) for name, value in order("refused").items()} | changes
    return ("{" + ",".join(f'"{name}":{value}' for name, value in fields.items()) + "}").encode()


def without(name: str) -> bytes:
    return json.dumps({field: value for field, value in order("refused").items() if field != name}).encode()


AMOUNTS = [
    ("A01", without("amount_cents"), 400, "amount_cents"),
    ("A03", raw(amount_cents='"1999"'), 400, "amount_cents"),
    ("A04", raw(amount_cents="19.99"), 400, "amount_cents"),
    ("A05", raw(amount_cents="1999.0"), 400, "amount_cents"),
    ("A06", raw(amount_cents="1e3"), 400, "amount_cents"),
    ("A07", raw(amount_cents="true"), 400, "amount_cents"),
    ("A14", raw(amount_cents="100000000", currency='"usd"'), 422, "amount_cents"),
    ("A15", raw(amount_cents="2147483648"), 422, "amount_cents"),
    ("A17", raw(amount_cents="9223372036854775808"), 400, "amount_cents"),
    ("A18", raw(amount_cents="1" + "0" * 100), 400, None),
    ("A19", without("currency"), 400, "currency"),
    ("A22", raw(currency='"xxx"'), 422, "currency"),
    ("A24", raw(currency='"ușd"'), 400, "currency"),
    ("A24 wide", raw(currency='"ｕｓｄ"'), 400, "currency"),
    ("A27", raw(amount_cents="1999.5", currency='"jpy"'), 400, "amount_cents"),
    ("A30", raw(amount_cents="150", currency='"ugx"'), 422, "amount_cents"),
    ("too small", raw(amount_cents="1"), 422, "amount_cents"),
]

JSON = [
    ("J01", b"", 400, None),
    ("J02", b"null", 400, None),
    ("J06", raw() + b"x", 400, None),
    ("J07", raw() + raw(), 400, None),
    ("J09", raw(customer_id='"SENTINEL"').replace(b"SENTINEL", b"\xff"), 400, None),
    ("J10", raw(customer_id=r'"\ud800"'), 400, None),
    ("J11", raw(customer_id=r'"\u0000"'), 400, None),
    ("J12", raw().replace(b"}", b',"amount_cents":5000}'), 400, None),
    ("J13", raw(amount_cents="NaN"), 400, None),
    ("J13 infinite", raw(amount_cents="-Infinity"), 400, None),
    ("J15", raw(items="[" * 10_000 + "]" * 10_000), 400, None),
    ("J17", raw(amount_cents="1" * 60_000), 400, None),
    ("J20", raw(livemode="false"), 400, "livemode"),
    ("J21", raw(metadata='{"__proto__":"x"}'), 400, None),
    ("J22", raw(metadata=json.dumps({f"k{n}": "v" for n in range(51)})), 400, "metadata"),
    ("J23", raw(metadata=json.dumps({"k" * 41: "v"})), 400, None),
    ("J23 value", raw(metadata=json.dumps({"note": "v" * 501})), 400, "metadata.note"),
    ("J24", raw(metadata='{"note":{"deep":"x"}}'), 400, "metadata.note"),
    ("J25", raw(metadata=json.dumps({"note": PAN})), 400, "metadata.note"),
    ("J26", raw(cvc='"123"'), 400, None),
]


BAD = AMOUNTS + JSON


@pytest.mark.parametrize(("sent", "status", "field"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
async def test_what_is_no_order_is_refused_and_nothing_comes_of_it(
    gateway: Counter, http: httpx.AsyncClient, sent: bytes, status: int, field: str | None
) -> None:
    """The answer is a problem that names the field as the caller wrote it; nothing is written, sent, said or logged."""
    before = await gateway.fetch("SELECT count(*) FROM payments"), await gateway.told(http)

    answer = await gateway.charge(http, sent)

    said = answer.json()
    assert (status, field) == (answer.status_code, said.get("field"))
    assert answer.headers["content-type"] == "application/problem+json"
    assert before == (await gateway.fetch("SELECT count(*) FROM payments"), await gateway.told(http))
    assert len(answer.content) <= 2048
    for secret in (PAN, "1999.5", "SENTINEL", "event-refused"):
        assert secret not in answer.text
        assert secret not in gateway.running.log()
    kind = "urn:counterfoil:problem:"
    expected = {400: "invalid-request", 422: "amount-refused"}[status]
    if sent in (raw(metadata=json.dumps({"note": PAN})), raw(cvc='"123"')):
        expected = "card-data-not-accepted"
    assert kind + expected == said["type"]


async def test_the_reason_of_an_amount_is_a_word(gateway: Counter, http: httpx.AsyncClient) -> None:
    """Programs read `reason`, people `detail` (A14)."""
    said = (await gateway.charge(http, order("a14", amount_cents=100_000_000, currency="usd"))).json()
    assert (said["reason"], said["detail"]) == ("amount_too_large", "the largest charge in USD is 999999.99 USD")


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1", ""]
)
async def test_only_json_is_read(gateway: Counter, http: httpx.AsyncClient, content_type: str) -> None:
    """Anything a browser may post to another site unasked, and other encodings, are 415."""
    answer = await gateway.charge(http, raw(), content_type=content_type)
    assert (answer.status_code, answer.json()["type"]) == (415, "urn:counterfoil:problem:invalid-request")


async def test_a_body_over_64_kib_is_too_large(gateway: Counter, http: httpx.AsyncClient) -> None:
    """One byte more than 64 KiB is 413 (H21)."""
    answer = await gateway.charge(http, b" " * (64 * 1024 + 1))
    assert (answer.status_code, answer.json()["type"]) == (413, "urn:counterfoil:problem:too-large")


@pytest.mark.parametrize(
    ("changes", "kind", "field"),
    [
        ({"payment_method": None}, "method-refused", "payment_method"),
        ({"payment_method": "pm_unheard_of"}, "method-refused", "payment_method"),
    ],
)
async def test_an_order_without_a_usable_method_is_refused(
    gateway: Counter, http: httpx.AsyncClient, changes: dict[str, Any], kind: str, field: str
) -> None:
    """No method and no default, or one that Stripe does not know, is 422; no payment is made."""
    answer = await gateway.charge(http, order("method", **changes))
    said = answer.json()
    assert (422, f"urn:counterfoil:problem:{kind}", field) == (answer.status_code, said["type"], said["field"])
    assert await gateway.fetch("SELECT count(*) FROM payments WHERE order_id = 'order-method'") == 0


async def test_pitfall_09_an_event_id_is_spent_on_one_order(gateway: Counter, http: httpx.AsyncClient) -> None:
    """The same event with another amount is 422 and changes nothing; another event for the paid order too."""
    first = await gateway.charge(http, order("spent"))

    reused = await gateway.charge(http, order("spent", amount_cents=2000))
    rival = await gateway.charge(http, order("spent", event_id="event-spent-2"))

    kind = "urn:counterfoil:problem:"
    assert (422, f"{kind}idempotency-key-reused") == (reused.status_code, reused.json()["type"])
    assert (422, f"{kind}order-has-payment") == (rival.status_code, rival.json()["type"])
    assert first.json()["payment_id"] == rival.json()["payment_id"]
    assert await gateway.fetch("SELECT count(*) FROM payments WHERE order_id = 'order-spent'") == 1


@pytest.mark.parametrize("path", ["//charge", "/charge/", "/%2e%2e/charge", "/payments/", "/nothing"])
async def test_there_is_one_canonical_path(gateway: Counter, http: httpx.AsyncClient, path: str) -> None:
    """Anything but the one spelling of a path is 404 (H37)."""
    answer = await gateway.ask(http, path)
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:counterfoil:problem:not-found")


async def test_a_method_override_is_not_heard(gateway: Counter, http: httpx.AsyncClient) -> None:
    """X-HTTP-Method-Override does nothing (H36), and a method that a path does not know is 405 with Allow."""
    overridden = await http.get(
        f"{gateway.running.url}/charge", headers={**gateway.authority(), "X-HTTP-Method-Override": "POST"}
    )
    assert (overridden.status_code, overridden.headers["allow"]) == (405, "POST")
