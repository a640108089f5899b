"""A call that takes its time keeps no other from being begun or recorded."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import pytest_asyncio
from tests.orders import Shop, order
from tests.told import Clock

from counterfoil.processors.stripe.client import StripeProcessor
from counterfoil.roles.worker.attempts import Sends
from counterfoil.roles.worker.bench import Bench
from counterfoil.roles.world import World
from counterfoil.runtime.ids import Ids
from counterfoil.store.pool import Pool

SLOW = b"event-1"


class Peer:
    """Succeeds at once, but for the slow event's request, which it leaves unanswered until it is closed."""

    def __init__(self) -> None:
        self.closing = asyncio.Event()
        self.conversations: set[asyncio.Task[None]] = set()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer requests on one connection until it ends."""
        task = asyncio.current_task()
        assert task is not None
        self.conversations.add(task)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while not self.closing.is_set():
                await self._answer_one(reader, writer)
        writer.close()

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
        named = {name.lower(): value for name, value in fields.items()}
        await reader.readexactly(int(named[b"content-length"]))
        key = named[b"idempotency-key"]
        if key == SLOW:
            await self.closing.wait()
        name = key.decode()
        intent = {"id": f"pi_{name}", "status": "succeeded", "amount_received": 1999, "latest_charge": f"ch_{name}"}
        body = json.dumps(intent).encode()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body))
        writer.write(body)


@pytest_asyncio.fixture
async def slow_stripe() -> AsyncIterator[StripeProcessor]:
    peer = Peer()
    server = await asyncio.start_server(peer.answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    processor = StripeProcessor("sk_test_slow", livemode=False, api_base=url, return_url="https://shop.example")
    yield processor
    peer.closing.set()
    await processor.close()
    await asyncio.gather(*peer.conversations)
    server.close()
    await server.wait_closed()


async def test_a_silent_answer_holds_up_nobody(
    pool: Pool,
    clock: Clock,
    ids: Ids,
    slow_stripe: StripeProcessor,
) -> None:
    """One of three is never answered: the other two are recorded, and what comes due later is begun meanwhile."""
    shop = Shop(pool, clock, ids, slow_stripe)
    bench = Bench(World(pool, clock, ids), slow_stripe, "worker")
    sends = Sends(bench)
    for number in (1, 2, 3):
        await shop.accepted(order(number), owner=None)
    await sends.round()
    await ended(bench, left=1)

    late = await shop.accepted(order(4), owner=None)
    await sends.round()
    await ended(bench, left=1)

    states = await pool.fetch("SELECT event_id, state FROM payments ORDER BY event_id")
    assert [("event-1", "processing"), *((f"event-{number}", "succeeded") for number in (2, 3, 4))] == [
        tuple(row.values()) for row in states
    ]
    assert await shop.state(late) == "succeeded"
    for call in bench.under_way():
        call.cancel()
    await asyncio.wait(bench.under_way())


async def ended(bench: Bench, *, left: int) -> None:
    """Wait until no more calls than that are under way."""
    async with asyncio.timeout(10):
        while len(bench.under_way()) > left:
            await asyncio.wait(bench.under_way(), return_when=asyncio.FIRST_COMPLETED)
