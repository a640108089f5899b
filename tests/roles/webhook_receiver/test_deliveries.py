"""Deliveries over HTTP: what is kept, and what each is answered."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import asyncpg
import httpx
import pytest
import pytest_asyncio
from tests.deliveries import encoded, event, signature, signed
from tests.stage import Running, Stage, now

PATHS = ("/webhooks/stripe", "/stripe/webhook")
PROBLEM = "urn:counterfoil:problem:"


@dataclass(frozen=True, slots=True)
class Door:
    """A receiver process, and the database it keeps deliveries in."""

    stage: Stage
    running: Running

    async def deliver(
        self, http: httpx.AsyncClient, body: bytes, headers: Any = None, path: str = PATHS[0]
    ) -> httpx.Response:
        """Post these bytes, signed unless other headers are given."""
        return await http.post(
            self.running.url + path, content=body, headers=signed(body) if headers is None else headers
        )

    async def fetch(self, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a query of the test's own."""
        connection = await asyncpg.connect(self.stage.database_url)
        try:
            return [tuple(row.values()) for row in await connection.fetch(query, *arguments)]
        finally:
            await connection.close()

    async def counts(self) -> list[tuple[Any, ...]]:
        """Return how much is kept: notices, bodies, quarantined."""
        return await self.fetch(
            "SELECT (SELECT count(*) FROM notices), (SELECT count(*) FROM notice_bodies), "
            "(SELECT count(*) FROM quarantine)"
        )


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def door(shared_stage: Stage) -> AsyncIterator[Door]:
    """A receiver, shared by the tests of this module."""
    yield Door(shared_stage, shared_stage.start("webhook-receiver"))


@pytest.mark.parametrize("path", PATHS)
async def test_a_delivery_is_acknowledged_by_its_name(door: Door, http: httpx.AsyncClient, path: str) -> None:
    """Both paths are one door: 200 with the event's id, and the row is there when the answer is."""
    name = path.strip("/").replace("/", "_")
    answer = await door.deliver(http, encoded(event(name)), path=path)
    assert (answer.status_code, answer.json()) == (200, {"received": f"evt_{name}"})
    rows = await door.fetch("SELECT type, object_id, deliveries, state FROM notices WHERE event_id = $1", f"evt_{name}")
    assert rows == [("payment_intent.succeeded", f"pi_{name}", 1, "kept")]


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("spread", encoded(event("spread"))),
        ("crlf", encoded(event("crlf")).replace(b"\n", b"\r\n") + b"\r\n"),
        ("escaped", encoded(event("escaped", note="\u00fc\U0001f600 \x00"))),
        ("utf8", encoded(event("utf8", note="NOTE")).replace(b"NOTE", "ü😀".encode())),
        ("tabs", b'{\t"id" :\t"evt_tabs" ,"type":"x.y" }\n\n'),
    ],
)
async def test_pitfall_01_bytes_are_kept_as_they_came(
    door: Door, http: httpx.AsyncClient, name: str, body: bytes
) -> None:
    """White space, escapes and line ends are the sender's: what was signed is what is kept."""
    answer = await door.deliver(http, body)
    assert answer.status_code == 200
    assert await door.fetch("SELECT body FROM notice_bodies WHERE event_id = $1", f"evt_{name}") == [(body,)]


@pytest.mark.parametrize(
    "changed",
    [
        {"type": "something.new_of_2031"},
        {"api_version": "2031-01-01"},
        {"data": {"object": {"id": "pi_w", "status": "unheard_of", "new_field": {"deep": [1]}}}},
        {"data": {"object": {"id": "pi_w", "metadata": {"payment_id": "not-ours"}}}},
        {"account": "acct_of_another", "livemode": True},
    ],
    ids=["W05", "W10", "W06 W07", "W12", "another account"],
)
async def test_pitfall_13_whatever_stripe_signed_is_kept(
    door: Door, http: httpx.AsyncClient, changed: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    """What we cannot use is still acknowledged: Stripe would send it for three days otherwise."""
    name = request.node.name
    answer = await door.deliver(http, encoded(event(name, **changed)))
    assert answer.status_code == 200
    assert await door.fetch("SELECT state FROM notices WHERE event_id = $1", f"evt_{name}") == [("kept",)]


async def test_the_same_event_again_is_counted(door: Door, http: httpx.AsyncClient) -> None:
    """Another body under the same id, type and object is 200 and counted; the first body stays (W15)."""
    first, second = encoded(event("twice", pending_webhooks=2)), encoded(event("twice", pending_webhooks=1))
    before = await door.counts()
    codes = [(await door.deliver(http, body)).status_code for body in (first, second)]
    assert codes == [200, 200]
    assert await door.fetch("SELECT deliveries FROM notices WHERE event_id = 'evt_twice'") == [(2,)]
    assert await door.fetch("SELECT body FROM notice_bodies WHERE event_id = 'evt_twice'") == [(first,)]
    ((notices, bodies, quarantined),) = before
    assert await door.counts() == [(notices + 1, bodies + 1, quarantined)]


@pytest.mark.parametrize(
    "changed", [{"type": "charge.failed"}, {"data": {"object": {"id": "pi_other"}}}], ids=["type", "object"]
)
async def test_an_id_that_comes_again_as_another_event_is_put_aside(
    door: Door, http: httpx.AsyncClient, changed: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    """Another type or object under a known id is 200, changes no row, and is quarantined with its bytes (W15)."""
    name = request.node.name
    await door.deliver(http, encoded(event(name)))
    other = encoded(event(name) | changed)

    answer = await door.deliver(http, other)

    assert (answer.status_code, answer.json()) == (200, {"received": f"evt_{name}"})
    assert await door.fetch("SELECT reason FROM quarantine WHERE body = $1", other) == [
        ("an event id came again with another type or object",)
    ]
    kept = await door.fetch("SELECT type, object_id FROM notices WHERE event_id = $1", f"evt_{name}")
    assert kept == [("payment_intent.succeeded", f"pi_{name}")]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"not json",
        b"\xff\xfe{}",
        b"\xef\xbb\xbf" + encoded(event("bom")),
        encoded({name: value for name, value in event("w11").items() if name != "id"}),
        encoded(event("w11", id=7)),
        encoded(event("w11", id="evt_" + "x" * 300)),
        encoded(event("w11", object="charge")),
        b'{"id":"evt_a","id":"evt_b"}',
    ],
    ids=["empty", "null", "list", "text", "not UTF-8", "BOM", "no id", "id 7", "id too long", "no event", "two ids"],
)
async def test_what_is_signed_but_no_event_is_kept_aside(door: Door, http: httpx.AsyncClient, body: bytes) -> None:
    """400, and the raw bytes are in quarantine for a person to look at (W11)."""
    ((notices, bodies, quarantined),) = await door.counts()
    answer = await door.deliver(http, body)
    assert (answer.status_code, answer.json()["type"]) == (400, f"{PROBLEM}invalid-request")
    assert await door.counts() == [(notices, bodies, quarantined + 1)]
    assert (body,) in await door.fetch("SELECT body FROM quarantine")


BODY = encoded(event("refused"))
REFUSED: dict[str, tuple[Any, int]] = {
    "none": ({}, 400),
    "empty": ({"Stripe-Signature": ""}, 400),
    "no v1": ({"Stripe-Signature": "t=1750000000,v0=" + "0" * 64}, 400),
    "two headers": ([("Stripe-Signature", signature(BODY)), ("Stripe-Signature", signature(BODY))], 400),
    "wrong secret": ({"Stripe-Signature": signature(BODY, secret="whsec_of_somebody_else")}, 401),
    "W03": ({"Stripe-Signature": signature(BODY.replace(b"\n", b""))}, 401),
    "stale": ({"Stripe-Signature": signature(BODY, age=timedelta(hours=1))}, 401),
    "future": ({"Stripe-Signature": signature(BODY, age=-timedelta(hours=1))}, 401),
}


@pytest.mark.parametrize(("headers", "status"), REFUSED.values(), ids=REFUSED.keys())
async def test_what_stripe_did_not_sign_leaves_no_trace(
    door: Door, http: httpx.AsyncClient, headers: Any, status: int
) -> None:
    """No usable signature is 400, a wrong or stale one 401; nothing is written."""
    before = await door.counts()
    answer = await door.deliver(http, BODY, headers)
    kind = "unauthorized" if status == 401 else "invalid-request"
    assert (answer.status_code, answer.json()["type"]) == (status, PROBLEM + kind)
    assert await door.counts() == before


@pytest.mark.parametrize("body", [encoded(event("stuck")), b"{}"], ids=["event", "no event"])
async def test_pitfall_14_a_store_that_is_stuck_is_503_in_time(
    door: Door, http: httpx.AsyncClient, body: bytes
) -> None:
    """Whatever is to be written, Stripe hears within 2 s that it must come again (W23)."""
    connection = await asyncpg.connect(door.stage.database_url)
    async with connection.transaction():
        await connection.execute("LOCK TABLE notices, quarantine IN ACCESS EXCLUSIVE MODE")
        began = now()
        answer = await door.deliver(http, body)
        seconds = now() - began
    await connection.close()
    assert (answer.status_code, answer.json()["type"]) == (503, f"{PROBLEM}unavailable")
    assert answer.headers["retry-after"] == "1"
    assert seconds < 2


async def test_a_body_over_1_mib_is_too_large(door: Door, http: httpx.AsyncClient) -> None:
    """One byte more than 1 MiB is 413, however well it is signed; a body of exactly that size is kept (H23)."""
    padding = 1024 * 1024 - len(encoded(event("large")))
    fits = encoded(event("large")) + b" " * padding
    too_large = await door.deliver(http, fits + b" ")
    assert (too_large.status_code, too_large.json()["type"]) == (413, f"{PROBLEM}too-large")
    assert (await door.deliver(http, fits)).status_code == 200


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
async def test_deliveries_are_posted(door: Door, http: httpx.AsyncClient, method: str, path: str) -> None:
    """Any other method is 405 and says which is allowed (W22)."""
    answer = await http.request(method, door.running.url + path)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("path", ["/charge", "/payments", "/webhooks/stripe/", "//webhooks/stripe", "/openapi.json"])
async def test_the_receiver_has_no_other_routes(door: Door, http: httpx.AsyncClient, path: str) -> None:
    """A role mounts only its own routes."""
    assert (await http.post(door.running.url + path, content=b"{}")).status_code == 404


async def test_the_log_never_holds_what_was_sent(door: Door, http: httpx.AsyncClient) -> None:
    """Quarantine, refusals and signatures are logged by their kind alone."""
    body = b'{"secret":"SENTINEL"}'
    await door.deliver(http, body)
    log = door.running.log()
    assert "webhook.quarantined" in log
    assert "SENTINEL" not in log
    assert signature(body).partition("v1=")[2] not in log
