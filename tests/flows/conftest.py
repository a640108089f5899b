"""Every flow at two peers: at the sandbox in `make test`, and at Stripe's test mode in `make test-stripe`.

Stripe forgets nothing and has its own time. So names are drawn anew in every run, and our clock stands at the moment in
which the test began, at both peers.
"""

import random  # noqa: TID251 - what was named in an earlier run must not be named again
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
import stripe
from tests import told
from tests.flows import account
from tests.orders import Shop, order

from counterfoil.domain.order import Order
from counterfoil.processors.stripe import requests
from counterfoil.processors.stripe.client import StripeProcessor
from counterfoil.runtime.clock import SystemClock
from counterfoil.runtime.ids import Ids, TimeOrderedIds
from counterfoil.store.pool import Pool
from stripe_sandbox.clock import Clock as SandboxClock
from stripe_sandbox.sandbox import Sandbox

KEY = "sk_test_flows"

Wishing = Callable[..., Order]


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is spoken to: at Stripe's own address where there is no ``api_base``."""

    key: str
    api_base: str | None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Stop before anything runs, where a flow is to run at Stripe and nothing says in whose account."""
    if any(item.get_closest_marker("stripe") for item in items):
        problem = account.problem(account.environment())
        if problem is not None:
            raise pytest.UsageError(problem)


@pytest.fixture
def clock() -> told.Clock:
    """A clock that stands at the time of the machine."""
    return told.Clock(SystemClock().now())


@pytest.fixture
def ids(clock: told.Clock) -> Ids:
    """Identifiers that no other run has."""
    return TimeOrderedIds(clock, random.SystemRandom())


@pytest.fixture(params=["sandbox", pytest.param("stripe", marks=pytest.mark.stripe)])
async def peer(request: pytest.FixtureRequest, clock: told.Clock) -> AsyncIterator[Peer]:
    """A sandbox of the test's own, or Stripe."""
    if request.param == "stripe":
        environment = account.environment()
        yield Peer(environment["STRIPE_KEY"], environment.get("STRIPE_API_BASE"))
        return
    sandbox = Sandbox(keys=[KEY], clock=SandboxClock(wall=lambda: clock.now().timestamp()))
    async with sandbox.serve() as server:
        yield Peer(KEY, server.url)


@pytest.fixture
async def processor(peer: Peer) -> AsyncIterator[StripeProcessor]:
    """The processor, as the roles have it."""
    opened = StripeProcessor(peer.key, livemode=False, api_base=peer.api_base, return_url="https://shop.example/back")
    yield opened
    await opened.close()


@pytest.fixture
async def by_charges(peer: Peer, shop: Shop) -> AsyncIterator[Shop]:
    """The same shop with the charges driver."""
    opened = StripeProcessor(peer.key, livemode=False, api_base=peer.api_base, by_charges=True)
    yield replace(shop, stripe=opened)
    await opened.close()


@pytest.fixture
async def client(peer: Peer) -> AsyncIterator[stripe.StripeClient]:
    """A client of the test's own, to see what is at the peer."""
    transport = stripe.AIOHTTPClient()
    yield stripe.StripeClient(
        peer.key,
        stripe_version=requests.API_VERSION,
        base_addresses={"api": peer.api_base} if peer.api_base else {},
        http_client=transport,
    )
    await transport.close_async()  # type: ignore[no-untyped-call]  # the SDK leaves this one untyped


@pytest.fixture
def shop(pool: Pool, clock: told.Clock, ids: Ids, processor: StripeProcessor) -> Shop:
    """Takes orders through our own steps."""
    return Shop(pool, clock, ids, processor)


@pytest.fixture
def wish(ids: Ids) -> Wishing:
    """Makes orders that were never placed before."""

    def wishing(method: str = "pm_card_visa", **changes: Any) -> Order:
        name = ids.new()
        return order(method=method, event_id=f"event-{name}", order_id=f"order-{name}", **changes)

    return wishing
