"""What each answer of the gateway means for the message with the order."""

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from tests.roles.dispatcher.gateway_peer import ACCEPTED, GatewayPeer, Reply, problem
from tests.told import Clock

from counterfoil.bus.message import Again, Dead, Done, Incoming, Outcome
from counterfoil.roles.dispatcher.dispatching import Dispatching
from counterfoil.roles.dispatcher.gateway import open_gateway
from counterfoil.roles.hearing import hearing
from counterfoil.runtime.metrics import REGISTRY
from counterfoil.runtime.secret import Secret

pytestmark = pytest.mark.asyncio(loop_scope="session")

ORDER = b'{"event_id": "event-1", "order_id": "order-1", "amount_cents": 1999, "currency": "EUR"}'


@pytest_asyncio.fixture(loop_scope="session")
async def dispatching(peer: GatewayPeer) -> AsyncIterator[Dispatching]:
    async with open_gateway(peer.url, Secret("cf_made_up")) as gateway:
        yield Dispatching(gateway, Clock())


async def brought(dispatching: Dispatching, *, value: bytes = ORDER, tries: int = 0, **headers: str) -> Outcome:
    """Return what becomes of a message with an order."""
    given = tuple((name, text.encode()) for name, text in headers.items())
    message = Incoming("orders.placed", 1, 7, b"order-1", value, given)
    return await hearing({"OrderPlaced": dispatching.bring})(message, tries)


def alarms() -> float:
    return REGISTRY.get_sample_value("counterfoil_alarms_total", {"where": "dispatcher"}) or 0.0


@pytest.mark.parametrize(
    "reply",
    [
        ACCEPTED,
        Reply(202, {"payment_id": "p", "status": "processing"}),
        problem(402, "card-declined", payment_id="p"),
        problem(429, "rate-limited", payment_id="p"),
    ],
    ids=lambda reply: str(reply.status),
)
async def test_an_order_that_has_its_payment_is_done(peer: GatewayPeer, dispatching: Dispatching, reply: Reply) -> None:
    """However that stands: the gateway has written it down. It was shown our token and the order as it came."""
    peer.replies["order-1"] = [reply]
    assert await brought(dispatching) == Done()
    assert (peer.asked["order-1"], peer.tokens) == (1, {"Bearer cf_made_up"})


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, "invalid-request"), (413, "too-large"), (415, "invalid-request"), (422, "amount-refused")],
)
async def test_an_order_that_is_refused_is_told_of(
    peer: GatewayPeer, dispatching: Dispatching, status: int, kind: str
) -> None:
    """A dead letter, and OrderRefused beside it, with the same id however often that is said."""
    peer.replies["order-1"] = [problem(status, kind)] * 2
    first, second = await brought(dispatching), await brought(dispatching)
    assert isinstance(first, Dead)
    assert isinstance(second, Dead)
    assert (first.reason, first.error) == (kind, "as it is")
    (said,) = first.also
    assert (said.topic, said.key) == ("payments.failed", b"order-1")
    assert json.loads(said.value or b"") == {
        "eventId": "event-1",
        "orderId": "order-1",
        "reason": kind,
        "refusedAt": "2026-03-01T12:00:00Z",
    }
    headers = dict(said.headers)
    assert (headers["ce_type"], headers["ce_subject"]) == (b"OrderRefused", b"order-1")
    assert UUID(headers["ce_id"].decode()) == UUID(dict(second.also[0].headers)["ce_id"].decode())


@pytest.mark.parametrize("kind", ["idempotency-key-reused", "order-has-payment"])
async def test_an_order_that_has_another_payment_is_not_called_refused(
    peer: GatewayPeer, dispatching: Dispatching, kind: str
) -> None:
    """The message is dead; the order is not, and nobody hears that it has no payment."""
    peer.replies["order-1"] = [problem(422, kind)]
    assert await brought(dispatching) == Dead(kind, "as it is")


@pytest.mark.parametrize("value", [b"no JSON", b'{"order_id": 7}', b'{"order_id": "with a space"}', b"{}", b"[]"])
async def test_whose_order_cannot_be_read_is_not_told_of(
    peer: GatewayPeer, dispatching: Dispatching, value: bytes
) -> None:
    """There is nobody to name."""
    for name in ("", "7", "with a space"):
        peer.replies[name] = [problem(400, "invalid-request")]
    assert await brought(dispatching, value=value) == Dead("invalid-request", "as it is")


@pytest.mark.parametrize("status", [401, 403, 404, 405, 307])
async def test_what_is_ours_to_mend_costs_no_order_anything(
    peer: GatewayPeer, dispatching: Dispatching, status: int
) -> None:
    """A token or an address that is wrong: the order again, uncounted; one alarm, and a gauge until it is mended."""
    before = alarms()
    peer.replies["order-1"] = [Reply(status)] * 3
    outcomes = [await brought(dispatching) for _ in range(3)]
    assert outcomes == [Again(f"answered {status}", counted=False)] * 3
    assert (alarms() - before, REGISTRY.get_sample_value("counterfoil_dispatcher_refused")) == (1, 1)
    assert await brought(dispatching) == Done()
    assert REGISTRY.get_sample_value("counterfoil_dispatcher_refused") == 0


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 0])
@pytest.mark.parametrize("is_ready", [True, False])
async def test_a_failure_counts_while_the_gateway_is_ready(
    peer: GatewayPeer, dispatching: Dispatching, status: int, *, is_ready: bool
) -> None:
    """The same order again; an outage is nobody's try."""
    peer.is_ready = is_ready
    peer.replies["order-1"] = [Reply(status)]
    outcome = await brought(dispatching)
    assert isinstance(outcome, Again)
    assert (outcome.counted, outcome.after_seconds) == (is_ready, 0)


async def test_a_restored_database_costs_no_order_a_try(peer: GatewayPeer, dispatching: Dispatching) -> None:
    """The gateway is ready then, to be asked how far it is, and takes no order until it has caught up."""
    peer.checks["restore"] = "nothing is sent"
    peer.replies["order-1"] = [problem(503, "unavailable")]
    first, again = await brought(dispatching), await brought(dispatching, tries=1)
    assert isinstance(first, Again)
    assert (first.counted, again) == (False, Again("the gateway is not ready", counted=False))
    peer.checks["restore"] = "ok"
    assert await brought(dispatching, tries=2) == Done()


async def test_the_gateway_says_when_to_come_again(peer: GatewayPeer, dispatching: Dispatching) -> None:
    """``Retry-After`` is kept, but for one that nobody means; a crowd is not the order's fault."""
    busy: list[dict[str, Any]] = [{"Retry-After": "7"}, {"Retry-After": "86400"}, {"Retry-After": "soon"}]
    peer.replies["order-1"] = [Reply(429, {}, headers) for headers in busy]
    outcomes = [await brought(dispatching) for _ in busy]
    assert outcomes == [Again("answered 429", counted=False, after_seconds=seconds) for seconds in (7, 60, 0)]


async def test_an_order_in_hand_is_waited_for_alone(peer: GatewayPeer, dispatching: Dispatching) -> None:
    """Two minutes, where the gateway that had it was killed: uncounted, and no other order waits with it."""
    peer.replies["order-1"] = [problem(409, "in-progress")]
    assert await brought(dispatching) == Again("answered 409", counted=False, holds=False)


async def test_what_failed_once_waits_for_a_gateway_that_is_ready(peer: GatewayPeer, dispatching: Dispatching) -> None:
    """It is not even asked before."""
    peer.is_ready = False
    assert await brought(dispatching, tries=1) == Again("the gateway is not ready", counted=False)
    assert peer.asked["order-1"] == 0
    peer.is_ready = True
    assert await brought(dispatching, tries=1) == Done()


async def test_a_gateway_that_is_not_there_is_waited_for() -> None:
    """No connection, no answer, no try."""
    async with open_gateway("http://127.0.0.1:1", Secret("cf_made_up")) as nowhere:
        outcome = await brought(Dispatching(nowhere, Clock()))
    assert isinstance(outcome, Again)
    assert not outcome.counted
