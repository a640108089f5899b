"""Orders over HTTP: what is reserved, what is written, and what is said of it."""

import asyncio
import json
from typing import Any

import asyncpg
import httpx
import pytest
from tests.shop import placed, wanted
from tests.stage import becomes

from examples.shop.database import Pool, open_pool

pytestmark = pytest.mark.asyncio(loop_scope="session")

JSON = {"Content-Type": "application/json"}


async def said(pool: Pool) -> list[tuple[str, str, dict[str, Any]]]:
    rows = await pool.fetch("SELECT event_type, aggregate_id, payload FROM outbox ORDER BY created_at, event_id")
    return [(row["event_type"], row["aggregate_id"], json.loads(row["payload"])) for row in rows]


async def stock(pool: Pool, sku: str) -> tuple[int, int]:
    row = await pool.fetchrow("SELECT on_hand, reserved FROM products WHERE sku = $1", sku)
    assert row is not None
    return row["on_hand"], row["reserved"]


async def test_an_order_its_reservation_and_what_is_said_of_it(
    shop: str, http: httpx.AsyncClient, shop_pool: Pool
) -> None:
    """The price is the catalogue's, the goods are reserved, and OrderPlaced is in the outbox, unpublished."""
    order = await placed(http, shop, "order-1")

    assert (order["status"], order["amount_cents"], order["currency"]) == ("placed", 1290 + 2 * 690, "EUR")
    assert await stock(shop_pool, "tea-rooibos") == (100_000, 2)
    [(name, of, payload)] = await said(shop_pool)
    row = await shop_pool.fetchrow("SELECT event_id, aggregate, tenant_id, published_at FROM outbox")
    assert row is not None
    assert (name, of, row["aggregate"], row["tenant_id"], row["published_at"]) == (
        "OrderPlaced", "order-1", "order", None, None
    )  # fmt: skip
    assert payload == {
        "event_id": str(row["event_id"]),
        "order_id": "order-1",
        "amount_cents": 2670,
        "currency": "EUR",
        "customer_id": "customer-1",
        "customer_email": "ada@example.com",
        "items": [{"sku": "tea-sencha", "quantity": 1}, {"sku": "tea-rooibos", "quantity": 2}],
        "payment_method": "pm_card_visa",
        "off_session": False,
        "schema_version": "1.0.0",
    }
    assert (await http.get(f"{shop}/orders/order-1")).json() == order


async def test_nothing_is_half_written(shop: str, http: httpx.AsyncClient, shop_pool: Pool) -> None:
    """Where the outbox cannot be written there is no order and no reservation, and the client may ask again."""
    await shop_pool.execute("ALTER TABLE outbox RENAME TO away")
    answer = await http.post(f"{shop}/orders", json=wanted("order-1"))
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert await shop_pool.fetchval("SELECT count(*) FROM orders") == 0
    assert await stock(shop_pool, "tea-rooibos") == (100_000, 0)

    await shop_pool.execute("ALTER TABLE away RENAME TO outbox")
    await placed(http, shop, "order-1")


async def test_the_same_order_again_is_the_same_order(shop: str, http: httpx.AsyncClient, shop_pool: Pool) -> None:
    """With the same content, whichever way it is written; with any other it is refused. Both write nothing."""
    first = await placed(http, shop, "order-1")
    turned = [{"sku": "tea-rooibos", "quantity": 1}, {"sku": "tea-sencha", "quantity": 1}]
    again = await http.post(
        f"{shop}/orders", json=wanted("order-1", items=[*turned, {"sku": "tea-rooibos", "quantity": 1}])
    )
    assert (again.status_code, again.json()) == (200, first)

    for change in (
        {"customer_id": "customer-2"},
        {"email": "bob@example.com"},
        {"payment_method": "pm_card_mastercard"},
        {"off_session": True},
        {"items": turned},
    ):
        refused = await http.post(f"{shop}/orders", json=wanted("order-1", **change))
        assert (refused.status_code, refused.json()) == (409, {"detail": "another order has this id"})
    assert len(await said(shop_pool)) == 1
    assert await stock(shop_pool, "tea-rooibos") == (100_000, 2)


async def test_an_order_that_is_asked_for_many_times_at_once_is_placed_once(
    shop: str, http: httpx.AsyncClient, shop_pool: Pool
) -> None:
    """One of twenty is new, the others are the same; also of the last goods there are."""
    trays = [{"sku": "tray-walnut", "quantity": 25}]
    answers = await asyncio.gather(
        *(http.post(f"{shop}/orders", json=wanted("order-1", items=trays)) for _ in range(20))
    )
    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
    assert len(await said(shop_pool)) == 1


async def test_no_more_is_sold_than_there_is(shop: str, http: httpx.AsyncClient, shop_pool: Pool) -> None:
    """Of forty who want one of the last 25 at once, 25 get it; the others hear what there is not enough of."""
    trays = [{"sku": "tea-sencha", "quantity": 1}, {"sku": "tray-walnut", "quantity": 1}]
    answers = await asyncio.gather(
        *(http.post(f"{shop}/orders", json=wanted(f"order-{number}", items=trays)) for number in range(40))
    )
    assert sorted(answer.status_code for answer in answers) == [201] * 25 + [409] * 15
    assert [answer.json() for answer in answers if answer.status_code == 409] == [
        {"detail": "there is not enough of this sku", "sku": "tray-walnut"}
    ] * 15
    assert await stock(shop_pool, "tray-walnut") == (25, 25)
    assert await stock(shop_pool, "tea-sencha") == (100_000, 25)
    assert len(await said(shop_pool)) == 25


async def test_orders_that_want_the_same_things_in_another_order_do_not_lock_each_other_out(
    shop: str, http: httpx.AsyncClient
) -> None:
    """Products are locked by their skus, however the order lists them."""
    skus = ["cup-white", "pot-iron", "tea-assam", "tea-sencha"]
    answers = await asyncio.gather(
        *(
            http.post(
                f"{shop}/orders",
                json=wanted(None, items=[{"sku": sku, "quantity": 1} for sku in skus[:: -1 if number % 2 else 1]]),
            )
            for number in range(60)
        )
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["order_id"] for answer in answers}) == 60


async def test_a_customer_cancels_once(shop: str, http: httpx.AsyncClient, shop_pool: Pool) -> None:
    """The order is cancelled and OrderCancelled said behind OrderPlaced; the stock waits for the payment's end."""
    await placed(http, shop, "order-1")
    answers = await asyncio.gather(*(http.post(f"{shop}/orders/order-1/cancel") for _ in range(5)))
    assert {(answer.status_code, answer.json()["status"], answer.json()["reason"]) for answer in answers} == {
        (200, "cancelled", "CUSTOMER_REQUESTED")
    }
    assert [name for name, _, _ in await said(shop_pool)] == ["OrderPlaced", "OrderCancelled"]
    assert (await said(shop_pool))[1][2] | {"cancelledAt": ""} == {
        "orderId": "order-1", "reason": "CUSTOMER_REQUESTED", "cancelledAt": ""
    }  # fmt: skip
    assert await stock(shop_pool, "tea-rooibos") == (100_000, 2)
    assert (await http.post(f"{shop}/orders/order-2/cancel")).status_code == 404


async def test_a_customer_who_cancels_what_is_being_cancelled_says_nothing_new(
    shop: str, http: httpx.AsyncClient, shop_pool: Pool, database_url: str
) -> None:
    """The request waits for whoever has the order's lock, and finds it cancelled then, for another reason."""
    await placed(http, shop, "order-1")
    failing = await asyncpg.connect(database_url)
    async with failing.transaction():
        await failing.execute("UPDATE orders SET status = 'cancelled', reason = 'CARD_DECLINED'")
        cancelling = asyncio.create_task(http.post(f"{shop}/orders/order-1/cancel"))

        async def waiting() -> bool:
            return bool(await shop_pool.fetchval("SELECT true FROM pg_locks WHERE NOT granted LIMIT 1"))

        await becomes(bool, waiting)
    await failing.close()
    assert (await cancelling).json()["reason"] == "CARD_DECLINED"
    assert [name for name, _, _ in await said(shop_pool)] == ["OrderPlaced"]


@pytest.mark.parametrize(
    "change",
    [
        {"items": []},
        {"items": [{"sku": "tea-sencha", "quantity": 0}]},
        {"items": [{"sku": "tea-sencha", "quantity": 1.5}]},
        {"items": [{"sku": "tea-sencha", "quantity": "1"}]},
        {"items": [{"sku": "tea-sencha", "quantity": 1, "price_cents": 1}]},
        {"email": "nobody"},
        {"email": "a\0@example.com"},
        {"customer_id": "\ud800"},
        {"order_id": "a/b"},
        {"order_id": ""},
        {"payment_method": None},
        {"amount_cents": 1},
    ],
)
async def test_what_is_no_order_is_refused(shop: str, http: httpx.AsyncClient, change: dict[str, Any]) -> None:
    """By its shape, with the field named and nothing of what stood in it."""
    answer = await http.post(f"{shop}/orders", content=json.dumps(wanted(**change)), headers=JSON)
    assert answer.status_code == 422
    assert next(iter(change)) in answer.json()["fields"][0]


async def test_a_number_that_is_none_is_refused(shop: str, http: httpx.AsyncClient) -> None:
    """NaN is no JSON, but Python's parser takes it: it is refused, and does not break the answer."""
    text = json.dumps(wanted(items=[{"sku": "tea-sencha", "quantity": float("nan")}]))
    answer = await http.post(f"{shop}/orders", content=text, headers=JSON)
    assert (answer.status_code, answer.json()["fields"]) == (422, ["body.items.0.quantity"])


async def test_what_cannot_be_sold_is_refused(shop: str, http: httpx.AsyncClient, shop_pool: Pool) -> None:
    """Something that is not in the catalogue, and more than a payment may be; nothing stays reserved."""
    unknown = await http.post(f"{shop}/orders", json=wanted(items=[{"sku": "coffee", "quantity": 1}]))
    assert (unknown.status_code, unknown.json()["sku"]) == (404, "coffee")

    kettles = [{"sku": "kettle-copper", "quantity": 1000}] * 5
    assert (await http.post(f"{shop}/orders", json=wanted(items=kettles))).status_code == 422
    assert await stock(shop_pool, "kettle-copper") == (100_000, 0)


async def test_orders_are_read_page_by_page(shop: str, http: httpx.AsyncClient) -> None:
    """By their ids, a hundred at a time, of one status where one is asked for."""
    await asyncio.gather(*(placed(http, shop, f"order-{number:03}") for number in range(120)))
    for number in (3, 110):
        await http.post(f"{shop}/orders/order-{number:03}/cancel")

    first = (await http.get(f"{shop}/orders")).json()
    second = (await http.get(f"{shop}/orders", params={"after": first[-1]["order_id"]})).json()
    assert [order["order_id"] for order in first + second] == [f"order-{number:03}" for number in range(120)]
    cancelled = (await http.get(f"{shop}/orders", params={"status": "cancelled"})).json()
    assert [order["order_id"] for order in cancelled] == ["order-003", "order-110"]
    assert (await http.get(f"{shop}/orders", params={"status": "gone"})).status_code == 422
    assert (await http.get(f"{shop}/orders/order-999")).status_code == 404


async def test_whoever_publishes_is_told_of_news(
    shop: str, http: httpx.AsyncClient, shop_pool: Pool, database_url: str
) -> None:
    """A session that listens to the channel `outbox` hears of an order once it is committed."""
    told = asyncio.Event()
    listener = await asyncpg.connect(database_url)
    await listener.add_listener("outbox", lambda *_: told.set())
    await placed(http, shop, "order-1")
    await asyncio.wait_for(told.wait(), 10)
    assert await shop_pool.fetchval("SELECT count(*) FROM outbox WHERE published_at IS NULL") == 1
    await listener.close()


async def test_ids_of_events_sort_by_their_time(shop_pool: Pool) -> None:
    """They are UUIDs of version 7: those of a later millisecond are higher."""
    rows = await shop_pool.fetch("SELECT ordered_uuid() AS id, pg_sleep(0.002) FROM generate_series(1, 200)")
    ids = [row["id"] for row in rows]
    assert ids == sorted(ids)
    assert {(one.version, one.variant) for one in ids} == {(7, "specified in RFC 4122")}


async def test_a_start_changes_nothing_that_is_there(database_url: str) -> None:
    """Four processes start at once on an empty database; a later start leaves stock and orders as they are."""
    async with open_pool(database_url) as pool:
        await pool.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")

    async def start() -> None:
        async with open_pool(database_url):
            pass

    await asyncio.gather(*(start() for _ in range(4)))
    async with open_pool(database_url) as pool:
        await pool.execute("UPDATE products SET on_hand = 7 WHERE sku = 'cup-white'")
    async with open_pool(database_url) as pool:
        assert await stock(pool, "cup-white") == (7, 0)
        assert await pool.fetchval("SELECT count(*) FROM products") == 7
