"""Facts have their effect in the database: each once, whatever comes twice, out of order, at once, or spoilt."""

import asyncio
import hashlib
from dataclasses import replace
from typing import Any

import asyncpg
import httpx
import pytest
from tests.shop import payment_of, placed, record, said

from counterfoil.bus.message import Outgoing
from examples.shop.database import Pool
from examples.shop.hearing import hear
from examples.shop.messages import Record

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def books(http: httpx.AsyncClient, shop: str) -> dict[str, Any]:
    found: dict[str, Any] = (await http.get(f"{shop}/books")).json()
    return found


def records(*messages: Outgoing) -> list[Record]:
    return [record(message) for message in messages]


async def test_a_payment_ends_well(shop: str, http: httpx.AsyncClient, shop_pool: Pool) -> None:
    """The order is paid, and its goods are taken out of the stock, as the adjustment asks."""
    await placed(http, shop, "order-1")
    await hear(shop_pool, records(said("PaymentSucceeded", "order-1", amount=2670)))
    found = await books(http, shop)
    assert found["orders"] == {"placed": 0, "paid": 1, "cancelled": 0, "refused": 0}
    assert found["by_order"]["order-1"] == {
        "status": "paid",
        "stock": "reserved",
        "amount_cents": 2670,
        "paid_cents": 2670,
        "refunded_cents": 0,
        "payment_id": str(payment_of("order-1")),
    }
    assert found["stock"]["tea-rooibos"] == {
        "at_start": 100_000, "on_hand": 100_000, "reserved": 2, "to_put_back": 0
    }  # fmt: skip

    await hear(shop_pool, records(said("InventoryAdjustmentRequested", "order-1", 2)))
    assert (await books(http, shop))["stock"]["tea-rooibos"] == {
        "at_start": 100_000, "on_hand": 99_998, "reserved": 0, "to_put_back": 0
    }  # fmt: skip


async def test_a_payment_fails(shop: str, http: httpx.AsyncClient, shop_pool: Pool) -> None:
    """The order is cancelled and says so in the same transaction; its goods are let go by the adjustment only."""
    await placed(http, shop, "order-1")
    failed = said("PaymentFailed", "order-1", reason="INSUFFICIENT_FUNDS")
    await shop_pool.execute("ALTER TABLE outbox RENAME TO away")
    with pytest.raises(asyncpg.UndefinedTableError):
        await hear(shop_pool, records(failed))
    assert (await http.get(f"{shop}/orders/order-1")).json()["status"] == "placed"
    assert await shop_pool.fetchval("SELECT count(*) FROM heard") == 0

    await shop_pool.execute("ALTER TABLE away RENAME TO outbox")
    await hear(shop_pool, records(failed, failed))
    await hear(shop_pool, records(failed))
    order = (await http.get(f"{shop}/orders/order-1")).json()
    assert (order["status"], order["reason"], order["stock"]) == ("cancelled", "INSUFFICIENT_FUNDS", "reserved")
    rows = await shop_pool.fetch(
        "SELECT event_type, payload->>'reason' AS reason FROM outbox ORDER BY created_at, event_id"
    )
    assert [tuple(row) for row in rows] == [("OrderPlaced", None), ("OrderCancelled", "PAYMENT_FAILED")]

    await hear(shop_pool, records(said("InventoryAdjustmentRequested", "order-1", 2, direction="RELEASE")))
    assert (await books(http, shop))["stock"]["tea-rooibos"]["reserved"] == 0


async def test_money_that_comes_late_takes_goods_that_were_let_go(
    shop: str, http: httpx.AsyncClient, shop_pool: Pool
) -> None:
    """They may be sold by then: more is taken out than there is, and the books show it."""
    trays = [{"sku": "tray-walnut", "quantity": 25}]
    await placed(http, shop, "first", items=trays)
    await hear(
        shop_pool,
        records(said("PaymentFailed", "first"), said("InventoryAdjustmentRequested", "first", 2, direction="RELEASE")),
    )
    await placed(http, shop, "second", items=trays)
    late = (said("PaymentSucceeded", "first", 3, amount=397_500), said("InventoryAdjustmentRequested", "first", 4))
    await hear(shop_pool, records(*late))
    assert (await books(http, shop))["stock"]["tray-walnut"] == {
        "at_start": 25, "on_hand": 0, "reserved": 25, "to_put_back": 25
    }  # fmt: skip
    paid = (said("PaymentSucceeded", "second", amount=397_500), said("InventoryAdjustmentRequested", "second", 2))
    await hear(shop_pool, records(*paid))
    found = await books(http, shop)
    assert found["stock"]["tray-walnut"] == {"at_start": 25, "on_hand": -25, "reserved": 0, "to_put_back": 25}
    assert (found["by_order"]["first"]["status"], found["by_order"]["first"]["paid_cents"]) == ("cancelled", 397_500)


async def test_a_refused_order_lets_its_goods_go(shop: str, http: httpx.AsyncClient, shop_pool: Pool) -> None:
    """There is no payment that could end and ask for it. That it is not wanted is said too."""
    await placed(http, shop, "order-1")
    await hear(shop_pool, records(said("OrderRefused", "order-1", reason="method-refused")))
    order = (await http.post(f"{shop}/orders/order-1/cancel")).json()
    assert (order["status"], order["reason"], order["stock"]) == ("refused", "method-refused", "let_go")
    assert (await books(http, shop))["stock"]["tea-rooibos"]["reserved"] == 0
    assert await shop_pool.fetchval("SELECT count(*) FROM outbox WHERE event_type = 'OrderCancelled'") == 1


async def test_a_paid_order_is_cancelled_and_its_money_goes_back(
    shop: str, http: httpx.AsyncClient, shop_pool: Pool
) -> None:
    """What was refunded is heard; the goods were taken out, and are to be put back by whoever has them."""
    await placed(http, shop, "order-1")
    await hear(
        shop_pool,
        records(said("PaymentSucceeded", "order-1", amount=2670), said("InventoryAdjustmentRequested", "order-1", 2)),
    )
    assert (await http.post(f"{shop}/orders/order-1/cancel")).json()["status"] == "cancelled"
    await hear(shop_pool, records(said("RefundProcessed", "order-1", 4, amount=2670)))
    found = await books(http, shop)
    assert (found["paid_cents"], found["refunded_cents"]) == (2670, 2670)
    assert found["stock"]["tea-rooibos"]["to_put_back"] == 2

    await hear(shop_pool, records(said("RefundFailed", "order-1", 5, amount=2670)))
    assert (await books(http, shop))["refunded_cents"] == 0


async def test_a_message_is_known_by_its_id(shop: str, http: httpx.AsyncClient, shop_pool: Pool) -> None:
    """What bears the id of one that was heard is that one, whatever it says: in the same batch, and later."""
    await placed(http, shop, "order-1")
    first, other = (said("PaymentSucceeded", "order-1", amount=amount) for amount in (2670, 1))
    await hear(shop_pool, records(first, other))
    await hear(shop_pool, records(other))
    assert (await books(http, shop))["paid_cents"] == 2670


async def test_orders_of_others_are_passed_over(shop: str, http: httpx.AsyncClient, shop_pool: Pool) -> None:
    """Counterfoil may work for several services: what is not the shop's changes nothing, and is not unreadable."""
    await placed(http, shop, "order-1")
    before = await books(http, shop)
    foreign = [
        said(name, "not-ours")
        for name in ("PaymentSucceeded", "PaymentFailed", "RefundProcessed", "InventoryAdjustmentRequested")
    ]
    await hear(shop_pool, records(*foreign))
    assert await books(http, shop) == before


async def test_what_is_spoilt_is_put_aside_and_the_rest_is_heard(
    shop: str, http: httpx.AsyncClient, shop_pool: Pool
) -> None:
    """Also what only the database finds out; each once, with where it stood, and with its bytes."""
    for number in range(3):
        await placed(http, shop, f"order-{number}")
    broken = record(replace(said("PaymentSucceeded", "order-9"), value=b"{"))
    poison = record(said("PaymentSucceeded", "order-\0"))  # PostgreSQL has no such text
    batch = [
        record(said("PaymentSucceeded", "order-0")),
        broken,
        record(said("PaymentSucceeded", "order-1")),
        poison,
        record(said("PaymentFailed", "order-2")),
    ]
    await hear(shop_pool, batch)
    await hear(shop_pool, batch)

    found = await books(http, shop)
    assert (found["orders"]["paid"], found["orders"]["cancelled"], found["unreadable"]) == (2, 1, 2)
    rows = await shop_pool.fetch('SELECT topic, "offset", key, value, why FROM unreadable ORDER BY "offset"')
    assert [tuple(row) for row in rows] == [
        (broken.topic, broken.offset, broken.key, b"{", "PaymentSucceeded does not fit: the whole"),
        (
            poison.topic,
            poison.offset,
            poison.key,
            poison.value,
            "the database refuses it: CharacterNotInRepertoireError",
        ),
    ]


def _story(number: int) -> list[Outgoing]:
    of = f"order-{number:02}"
    release = said("InventoryAdjustmentRequested", of, 2, direction="RELEASE")
    decrement = said("InventoryAdjustmentRequested", of, 4)
    paid = [said("PaymentSucceeded", of, 3, amount=2670), decrement]
    refund = said("RefundProcessed", of, 6, amount=2670)
    return [
        paid,
        [said("PaymentFailed", of), release],
        [said("OrderRefused", of)],
        [said("PaymentCanceled", of), release, *paid, refund],
        [*paid, refund, said("RefundFailed", of, 8, amount=2670)],
    ][number % 5]


@pytest.mark.parametrize("seed", range(4))
async def test_facts_in_any_order_and_from_two_sides_at_once_end_in_the_same_books(
    shop: str, http: httpx.AsyncClient, shop_pool: Pool, seed: int
) -> None:
    """Forty orders, their facts mixed, heard by two at once: money and stock are those of the story."""
    for number in range(40):
        await placed(http, shop, f"order-{number:02}")
    messages = [message for number in range(40) for message in _story(number)]

    def mixed(side: int) -> list[Record]:
        def place(message: Outgoing) -> bytes:
            return hashlib.sha256(b"%d %d %b" % (seed, side, dict(message.headers)["ce_id"])).digest()

        return [record(message) for message in sorted(messages, key=place)]

    async def listen(side: int) -> None:
        heard = mixed(side)
        for first in range(0, len(heard), 7):
            await hear(shop_pool, heard[first : first + 7])

    await asyncio.gather(listen(1), listen(2))
    found = await books(http, shop)
    money = [(one["paid_cents"], one["refunded_cents"]) for one in found["by_order"].values()]
    assert money == [(2670, 0), (0, 0), (0, 0), (2670, 2670), (2670, 0)] * 8
    assert found["orders"]["placed"] == found["unreadable"] == 0
    stock = found["stock"]["tea-rooibos"]
    assert (stock["on_hand"], stock["reserved"]) == (100_000 - 2 * 24, 0)
    unwanted = found["orders"]["cancelled"] + found["orders"]["refused"]
    cancellations = "SELECT count(*), count(DISTINCT aggregate_id) FROM outbox WHERE event_type = 'OrderCancelled'"
    assert tuple(await shop_pool.fetchrow(cancellations) or ()) == (unwanted, unwanted)
