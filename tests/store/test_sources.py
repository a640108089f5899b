"""Outboxes of other services, as their databases have them."""

import itertools
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
import pytest_asyncio
from tests import told
from tests.outboxes import GRANTS, TABLE, Shop, event
from tests.stage import becomes

from counterfoil.messages import trace_context
from counterfoil.store import sources
from counterfoil.store.sources import Aggregate, Table, Waiting

OUTBOX = Table("outbox")
TYPES = ["OrderPlaced"]
NAMES = itertools.count(1)
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest_asyncio.fixture
async def shop(database_url: str) -> Shop:
    """Another service with an empty outbox."""
    made = Shop(database_url)
    await made.execute(TABLE)
    return made


@pytest_asyncio.fixture
async def sender(shop: Shop) -> AsyncIterator[asyncpg.Connection]:
    """A session of ours in that service's database, with no more rights than the page grants."""
    name = f"counterfoil_{urlsplit(shop.url).path[1:]}_{next(NAMES)}"
    await shop.execute(GRANTS.replace("counterfoil", name))
    parts = urlsplit(shop.url)
    host = parts.netloc.rpartition("@")[2]
    connection = await asyncpg.connect(parts._replace(netloc=f"{name}:another%20one@{host}").geturl())
    yield connection
    await connection.close()
    await shop.execute(f"DROP OWNED BY {name}", f"DROP ROLE {name}")


async def next_names(sender: asyncpg.Connection, most: int = 10, *busy: str) -> list[str]:
    """Return what the next rows say."""
    rows = await sources.next_rows(sender, OUTBOX, TYPES, most, [Aggregate("order", one) for one in busy])
    names = {event(f"{of} {number}"): f"{of} {number}" for of in "abc" for number in range(5)}
    return [names[one.event_id] for one in rows]


async def test_the_oldest_row_of_each_aggregate_is_next(shop: Shop, sender: asyncpg.Connection) -> None:
    """With no more rights than granted; a busy aggregate is passed over, and what was marked is over."""
    await shop.says(("a", "a 0"), ("b", "b 0"), ("a", "a 1"), ("c", "c 0"), ("b", "b 1"))
    assert await sources.lacking(sender, OUTBOX) is None
    assert await next_names(sender) == ["a 0", "b 0", "c 0"]
    assert await next_names(sender, 10, "a", "c") == ["b 0"]
    await sources.mark_published(sender, OUTBOX, [event("a 0"), event("c 0")], told.START)
    assert await next_names(sender) == ["b 0", "a 1"]
    assert await shop.waiting() == 3


async def test_an_aggregate_with_many_rows_leaves_room_for_others(shop: Shop, sender: asyncpg.Connection) -> None:
    """It may fill one look, and is passed over by the next while its row is on its way."""
    await shop.says(*[("a", f"a {number}") for number in range(5)], ("b", "b 0"))
    assert await next_names(sender, 3) == ["a 0"]
    assert await next_names(sender, 3, "a") == ["b 0"]


async def test_what_is_committed_late_is_next_all_the_same(shop: Shop, sender: asyncpg.Connection) -> None:
    """There is no cursor that could have passed it."""
    slow = await asyncpg.connect(shop.url)
    transaction = slow.transaction()
    await transaction.start()
    insert = "INSERT INTO outbox VALUES ($1, 'order', 'a', 'OrderPlaced', '{}')"
    await slow.execute(insert, event("a 0"))
    await shop.says(("b", "b 0"))
    assert await next_names(sender) == ["b 0"]
    await sources.mark_published(sender, OUTBOX, [event("b 0")], told.START)
    await transaction.commit()
    await slow.close()
    assert await next_names(sender) == ["a 0"]


async def test_a_payload_too_large_for_any_broker_does_not_travel(shop: Shop, sender: asyncpg.Connection) -> None:
    """The row comes without it."""
    await shop.says(("a", "a 0"), padding="x" * sources.LARGEST_PAYLOAD_BYTES)
    await shop.says(("b", "b 0"))
    rows = await sources.next_rows(sender, OUTBOX, TYPES, 10, [])
    assert [row.payload is None for row in rows] == [True, False]


async def test_what_is_read_at_once_has_a_limit(
    shop: Shop, sender: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of bytes as well as of rows; one row is read however large it is."""
    await shop.says(("a", "a 0"), ("b", "b 0"), ("c", "c 0"), padding="x" * 1000)
    monkeypatch.setattr(sources, "TOGETHER_BYTES", 1)
    assert await next_names(sender) == ["a 0"]
    monkeypatch.setattr(sources, "TOGETHER_BYTES", 1500)
    assert await next_names(sender) == ["a 0", "b 0"]


@pytest.mark.parametrize(
    ("payload", "left", "trace"),
    [
        ({"traceparent": TRACE, "a": 1.50}, '{"a": 1.50}', TRACE),
        ({"a": {"traceparent": TRACE}}, None, None),
        ({"traceparent": TRACE + "\n"}, None, None),
        ({"traceparent": TRACE.upper()}, None, None),
        ({"traceparent": "ff" + TRACE[2:]}, None, None),
        ({"traceparent": TRACE[:3] + "0" * 32 + TRACE[35:]}, None, None),
        ({"traceparent": TRACE[:36] + "0" * 16 + TRACE[52:]}, None, None),
        ({"traceparent": 7}, None, None),
        (["traceparent"], None, None),
        ("traceparent", None, None),
    ],
)
async def test_a_trace_is_taken_out_of_the_payload(
    shop: Shop, sender: asyncpg.Connection, payload: Any, left: str | None, trace: str | None
) -> None:
    """At its top level and in good form; all else stays as it is."""
    connection, text = await asyncpg.connect(shop.url), json.dumps(payload)
    insert = "INSERT INTO outbox VALUES ($1, 'order', 'a', 'OrderPlaced', $2::text::jsonb)"
    await connection.execute(insert, event("a 0"), text.replace("1.5", "1.50"))
    await connection.close()
    (row,) = await sources.next_rows(sender, OUTBOX, TYPES, 10, [])
    assert (row.payload, row.traceparent) == (left or text, trace)
    assert trace_context.passed_on(row.traceparent) == row.traceparent


async def test_other_types_are_counted_and_not_taken(shop: Shop, sender: asyncpg.Connection) -> None:
    """One of them is named."""
    await shop.says(("a", "a 0"), kind="OrderShipped")
    await shop.says(("a", "a 1"))
    assert await next_names(sender) == ["a 1"]
    ((since,),) = await shop.fetch("SELECT created_at FROM outbox WHERE event_type = 'OrderPlaced'")
    assert await sources.waiting(sender, OUTBOX, TYPES) == Waiting(1, since, 1, "OrderShipped")


@pytest.mark.parametrize(
    ("change", "lacks"),
    [
        ("DROP TABLE outbox", "is not there"),
        ("ALTER TABLE outbox DROP COLUMN aggregate", "has no column aggregate"),
        ("ALTER TABLE outbox DROP COLUMN payload", "has no column payload"),
        (
            "ALTER TABLE outbox ALTER COLUMN created_at TYPE timestamp",
            "has a column created_at of type timestamp without time zone, not timestamp with time zone",
        ),
        ("ALTER TABLE outbox ALTER COLUMN payload TYPE text", "has a column payload of type text, not jsonb"),
        ("ALTER TABLE outbox ALTER COLUMN payload DROP NOT NULL", "has a column payload that may be null"),
        ("ALTER TABLE outbox ALTER COLUMN aggregate_id TYPE uuid USING gen_random_uuid()", None),
        ("REVOKE SELECT ON outbox FROM {role}", "does not let us read event_id: grant SELECT"),
        (
            "REVOKE UPDATE (published_at) ON outbox FROM {role}",
            "does not let us say what was published: grant UPDATE (published_at)",
        ),
    ],
)
async def test_what_a_table_lacks_is_named(
    shop: Shop, sender: asyncpg.Connection, change: str, lacks: str | None
) -> None:
    """A team is told what to mend."""
    role = await sender.fetchval("SELECT current_user")
    await shop.execute(change.replace("{role}", role))
    assert await sources.lacking(sender, OUTBOX) == lacks


async def test_ids_may_be_of_other_types(shop: Shop, sender: asyncpg.Connection) -> None:
    """A table of before need not be changed for it."""
    await shop.execute(
        "ALTER TABLE outbox ALTER COLUMN aggregate_id TYPE bigint USING 0, ALTER COLUMN event_type TYPE varchar(80),"
        " ALTER COLUMN tenant_id TYPE uuid USING NULL"
    )
    insert = "INSERT INTO outbox (event_id, aggregate, aggregate_id, event_type, payload) VALUES"
    await shop.execute(f"{insert} (gen_random_uuid(), 'order', 17, 'OrderPlaced', '[]')")
    (row,) = await sources.next_rows(sender, OUTBOX, TYPES, 10, [Aggregate("order", "18")])
    assert (row.aggregate, row.payload, row.traceparent) == (Aggregate("order", "17"), "[]", None)
    assert await sources.next_rows(sender, OUTBOX, TYPES, 10, [Aggregate("order", "17")]) == []


async def test_one_leads_for_each_table(shop: Shop, sender: asyncpg.Connection) -> None:
    """However the table is named; another table of that database is led by itself."""
    await shop.execute("CREATE SCHEMA billing", "CREATE TABLE billing.outbox (LIKE outbox INCLUDING ALL)")
    second = await asyncpg.connect(shop.url)
    assert await sources.try_to_lead(sender, OUTBOX)
    assert not await sources.try_to_lead(second, Table("public.outbox"))
    assert await sources.try_to_lead(second, Table("billing.outbox"))
    await sender.close()
    await becomes(bool, lambda: sources.try_to_lead(second, OUTBOX))
    await second.close()
