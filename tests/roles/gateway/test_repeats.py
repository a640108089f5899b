"""An order that comes again is answered by its payment, whatever has become of Stripe and of our settings since."""

import asyncio
import socket
from collections.abc import Iterator

import httpx
import pytest
from tests.orders import order

from counterfoil.domain.errors import IdempotencyKeyReused, InvalidRequest, Unavailable
from counterfoil.domain.money import Money
from counterfoil.domain.order import Order
from counterfoil.domain.states import PaymentState
from counterfoil.processors.stripe.client import StripeProcessor
from counterfoil.roles.gateway.charging import Charged, Charging
from counterfoil.roles.world import World
from counterfoil.runtime.clock import SystemClock
from counterfoil.runtime.ids import Ids
from counterfoil.store.pool import Pool
from stripe_sandbox.sandbox import Sandbox

KEY = "sk_test_repeats"
BACK = "https://shop.example/back"


async def charged(
    world: World, url: str, wished: Order, *, return_url: str | None = BACK, answer_seconds: float = 10
) -> Charged:
    """Charge as a gateway does that has just been started."""
    processor = StripeProcessor(KEY, livemode=False, api_base=url, return_url=return_url)
    charging = Charging(world, processor, "test", asyncio.Event(), answer_seconds=answer_seconds)
    try:
        return await charging.charge(wished)
    finally:
        await charging.drain()
        await processor.close()


async def new_method(url: str) -> str:
    """Return the name of a new card at the sandbox, which does not say that it is one."""
    async with httpx.AsyncClient(trust_env=False, headers={"Authorization": f"Bearer {KEY}"}) as http:
        card = {"type": "card", "card[token]": "tok_visa"}
        return str((await http.post(f"{url}/v1/payment_methods", data=card)).json()["id"])


@pytest.fixture
def world(pool: Pool, ids: Ids) -> World:
    return World(pool, SystemClock(), ids)


@pytest.fixture
async def paid(world: World) -> Order:
    """An order that was paid with a method whose kind Stripe had to be asked for; that Stripe is gone."""
    async with Sandbox(keys=[KEY]).serve() as server:
        paid = order(1, await new_method(server.url))
        await charged(world, server.url, paid)
    return paid


@pytest.fixture
def silent_url() -> Iterator[str]:
    """Where somebody takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


async def test_stripe_is_down(world: World, paid: Order) -> None:
    """The repeat is answered by the payment as it stands; only what is new has to come again."""
    again = await charged(world, "http://127.0.0.1:1", paid)

    assert (again.repeated, again.payment.state) == (True, PaymentState.SUCCEEDED)
    with pytest.raises(Unavailable, match="processor"):
        await charged(world, "http://127.0.0.1:1", order(2, paid.method))


async def test_stripe_is_silent(world: World, paid: Order, silent_url: str) -> None:
    """The repeat is not kept waiting for what it does not need; what is new hears within its time to come again."""
    async with asyncio.timeout(8):  # of the 10 s that this charge may take, and of the 30 s that a call may
        again = await charged(world, silent_url, paid)
        with pytest.raises(Unavailable, match="processor"):
            await charged(world, silent_url, order(2, paid.method), answer_seconds=0.5)

    assert (again.repeated, again.payment.state) == (True, PaymentState.SUCCEEDED)


async def test_the_return_url_was_taken_away(world: World, paid: Order) -> None:
    """The repeat needs none, while a new order does; and another order under the same event is told so first."""
    again = await charged(world, "http://127.0.0.1:1", paid, return_url=None)

    assert (again.repeated, again.payment.state) == (True, PaymentState.SUCCEEDED)
    with pytest.raises(InvalidRequest):
        await charged(world, "http://127.0.0.1:1", order(2), return_url=None)
    with pytest.raises(IdempotencyKeyReused):
        await charged(world, "http://127.0.0.1:1", order(1, money=Money(500, "EUR")), return_url=None)


async def test_asking_and_sending_share_one_time(world: World) -> None:
    """Each call takes a second: after one and a half the charge is answered as open, and not a second later as paid."""
    async with Sandbox(keys=[KEY], latency_seconds=1.0).serve() as server:
        opened = await charged(world, server.url, order(1, await new_method(server.url)), answer_seconds=1.5)

    assert (opened.repeated, opened.payment.state) == (False, PaymentState.PROCESSING)
