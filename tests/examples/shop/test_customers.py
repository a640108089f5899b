"""Customers: the same seed is the same plan, every kind is among them, and a shop serves them."""

import asyncio
from collections import Counter

import asyncpg
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.shop import record, said
from tests.stage import free_port

from examples.shop.customers import SKUS, Cancels, ShopAway, Visit, plan, play
from examples.shop.database import Pool
from examples.shop.hearing import hear


@given(st.integers(0, 10**9), st.integers(0, 40))
def test_the_same_seed_is_the_same_plan(seed: int, orders: int) -> None:
    """A longer plan begins as the shorter one, and no two orders have one id."""
    visits = plan(seed, orders)
    assert visits == plan(seed, orders + 3)[:orders]
    assert len({visit.order_id for visit in visits}) == orders


def test_another_seed_is_another_plan() -> None:
    """Also in what is ordered, not only in the names."""
    assert [visit.items for visit in plan(1, 20)] != [visit.items for visit in plan(2, 20)]


def test_every_kind_of_customer_comes() -> None:
    """Of a thousand most pay; some are declined, for either reason; some are not there; some cancel, early or late."""
    visits = plan(7, 1000)
    methods = Counter(visit.payment_method for visit in visits)
    assert methods["pm_card_visa"] > 700
    assert min(methods["pm_card_chargeDeclined"], methods["pm_card_chargeDeclinedInsufficientFunds"]) > 30
    assert 100 < sum(visit.off_session for visit in visits) < 200
    cancels = Counter(visit.cancels for visit in visits)
    assert min(cancels[Cancels.AT_ONCE], cancels[Cancels.ONCE_PAID]) > 20
    assert {sku for visit in visits for sku, _ in visit.items} == set(SKUS)
    assert not [visit for visit in visits if visit.cancels is Cancels.ONCE_PAID and "Declined" in visit.payment_method]


@pytest.mark.asyncio(loop_scope="session")
async def test_everything_they_order_is_in_the_catalogue(shop_pool: Pool) -> None:
    """The plan and the shop know the same things."""
    rows = await shop_pool.fetch("SELECT sku FROM products")
    assert {row["sku"] for row in rows} == set(SKUS)


@pytest.mark.asyncio(loop_scope="session")
async def test_customers_are_served(shop: str, http: httpx.AsyncClient, shop_pool: Pool, database_url: str) -> None:
    """Each order is placed once, cancellations come when they should, and who comes too late hears so."""
    visits = plan(3, 60)
    await shop_pool.execute("UPDATE products SET on_hand = 1 WHERE sku = 'tray-walnut'")
    seen: list[int] = []
    paying = asyncio.create_task(_pay_all(shop_pool, database_url))
    ends = await asyncio.to_thread(play, visits, shop, seen.append)
    paying.cancel()

    expected = Counter(f"cancelled {visit.cancels}" if visit.cancels != "never" else "ordered" for visit in visits)
    assert seen == list(range(1, 61))
    assert set(ends) == {*expected, "out of stock"}
    by_order = (await http.get(f"{shop}/books")).json()["by_order"]
    assert ends.total() - ends["out of stock"] == len(by_order)
    for visit in visits:
        if visit.order_id in by_order:
            _is_as_planned(visit, by_order[visit.order_id])


def _is_as_planned(visit: Visit, order: dict[str, object]) -> None:
    assert (order["status"] == "cancelled") == (visit.cancels is not Cancels.NEVER)
    if visit.cancels is Cancels.ONCE_PAID:
        assert order["paid_cents"] == order["amount_cents"]


async def _pay_all(pool: Pool, database_url: str) -> None:
    """Pay whatever is placed, as Counterfoil would be heard to."""
    connection = await asyncpg.connect(database_url)
    try:
        while True:
            rows = await connection.fetch("SELECT order_id, amount_cents FROM orders WHERE status = 'placed'")
            facts = [said("PaymentSucceeded", row["order_id"], amount=row["amount_cents"]) for row in rows]
            await hear(pool, [record(fact) for fact in facts])
            await asyncio.sleep(0.1)
    finally:
        await connection.close()


def test_a_shop_that_is_not_there_is_told_of() -> None:
    """Nobody waits for a shop that does not answer."""
    with pytest.raises(ShopAway, match="no answer"):
        play(plan(1, 1), f"http://127.0.0.1:{free_port()}")
    for address in ("shop.example", "http://shop.example:http", "http://[shop.example"):
        with pytest.raises(ShopAway, match="no http address"):
            play(plan(1, 1), address)
