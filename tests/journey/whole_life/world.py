"""One life of some payments: the shop and its worker, the sandbox as Stripe, and a clock that both go by."""

import json
import random  # noqa: TID251 - seeded, so that every run sees the same ids
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import aiohttp
from tests.journey.whole_life import work
from tests.journey.whole_life.books import Books, read
from tests.journey.whole_life.work import Work
from tests.orders import Shop
from tests.told import Clock

from counterfoil.domain.cancelling import Cancellation, CancelReason
from counterfoil.domain.order import Order
from counterfoil.domain.payment import ScreeningMode
from counterfoil.domain.refunding import Wish
from counterfoil.domain.screening import Check, Finding, Screening
from counterfoil.domain.verdict import Cause, Source
from counterfoil.journey import accept, assess, cancel, capture, conclude, refund, renew, void
from counterfoil.journey.accept import Accepted
from counterfoil.journey.authorize import Sending
from counterfoil.processors.stripe import notices as stripe_notices
from counterfoil.processors.stripe.client import StripeProcessor
from counterfoil.runtime.ids import TimeOrderedIds
from counterfoil.store import notices
from counterfoil.store.notices import Delivery, NoticeId
from counterfoil.store.pool import Pool
from stripe_sandbox.clock import Clock as SandboxClock
from stripe_sandbox.ids import Ids as SandboxIds
from stripe_sandbox.sandbox import Sandbox

KEY: Final = "sk_test_journey"

_EMPTY: Final = "".join(
    f"DELETE FROM {table};"  # noqa: S608 - the tables are those below
    for table in (
        *("outbox", "positions", "facts", "operations", "attempts", "refunds", "disputes", "effects", "payments"),
        *("notices", "notice_bodies", "fraud_checks", "order_cancellations", "customers"),
    )
)
_NEXT: Final = """
SELECT least((SELECT min(next_check_at) FROM payments), (SELECT min(decide_by) FROM payments WHERE screening),
             (SELECT min(learn_at) FROM payments),
             (SELECT min(refunds_due_at) FROM payments WHERE state = 'succeeded'),
             (SELECT min(next_check_at) FROM refunds), (SELECT min(next_try_at) FROM effects),
             (SELECT min(next_try_at) FROM notices))
"""
MOST_ROUNDS: Final = 2000
"""Within so many moments in which something is due, everything has come to its end; a life that has not is stuck."""

MOST_AT_ONCE: Final = 30
"""One thing leads to another, but not to so many others without any time between."""


@dataclass(slots=True)
class InHand:
    """Something that a process has claimed, and then what it heard of it, not recorded yet."""

    work: Work
    claimed: Any
    heard: Any = None
    called: bool = False


@dataclass(slots=True)
class World:
    """Everything that is there while some payments live; what is done is checked at each commit."""

    shop: Shop
    sandbox: Sandbox
    http: aiohttp.ClientSession
    url: str
    hand: list[InHand] = field(default_factory=list)
    heard: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    books: Books = field(default_factory=Books)

    async def check(self) -> None:
        """Compare the books with those of the last commit, and with Stripe's."""
        before = self.books
        self.books = await read(self.shop.pool, self.sandbox)
        assert self.books.faults(before) == []

    # What the worker does.

    async def claim(self, one: Work) -> list[InHand]:
        """Claim what is due of one kind of work."""
        claimed = [
            InHand(one, item) for item in sorted(await one.claim(self.shop), key=repr)
        ]  # in any order, but the same
        if claimed or one is work.SEND:  # which gives up, of itself, what could not be sent for too long
            await self.check()
        return claimed

    async def call(self, held: InHand) -> None:
        """Call for what was claimed."""
        held.heard, held.called = await held.work.call(self.shop, held.claimed), True

    async def record(self, held: InHand) -> None:
        """Record what was heard."""
        if held.heard is not None:
            await held.work.record(self.shop, held.heard)
        await self.check()

    async def through(self, one: Work) -> int:
        """Do all that is due of one kind of work from end to end; return how much that was."""
        claimed = await self.claim(one)
        for held in claimed:
            await self.call(held)
            await self.record(held)
        return len(claimed)

    async def tend(self) -> int:
        """Do what needs no call: read notices, go on where nobody decided, catch up with cancelled orders."""
        shop, now = self.shop, self.shop.clock.now()
        done = (await conclude.run(shop.pool, stripe_notices, shop.ids, now, livemode=False)).total()
        if done:
            await self.check()
        done += await assess.run_out(shop.pool, shop.ids, now)
        done += await cancel.catch_up(shop.pool, shop.ids, now)
        if done:
            await self.check()
        return done

    # What Stripe and its customers do.

    def events(self) -> list[Mapping[str, Any]]:
        """Every event so far that is not lost, oldest first."""
        return [one for one in self.sandbox.account().events if one["id"] not in self.lost]

    async def deliver(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Let events arrive, whether or not they did before; the receiver keeps them."""
        deliveries = []
        for event in events:
            body = json.dumps(event).encode()
            found = stripe_notices.identify(body)
            name = NoticeId(found.account, found.livemode, found.event_id)
            deliveries.append(Delivery(name, found.type, found.object_id, body))
            self.heard.add(found.event_id)
        async with self.shop.pool.acquire() as connection:
            await notices.keep(connection, deliveries, self.shop.clock.now())

    def move_to(self, moment: datetime) -> None:
        """Move the clock of both sides; what falls due at Stripe on the way happens in its moment."""
        clock, schedule = self.shop.clock, self.sandbox.schedule
        while (due := schedule.next_moment()) is not None and due <= moment.timestamp():
            clock.advance(max(timedelta(0), datetime.fromtimestamp(due, UTC) - clock.now()) + timedelta(microseconds=1))
            schedule.run_due()
        clock.advance(max(timedelta(0), moment - clock.now()))

    async def post(self, path: str, **form: str) -> dict[str, Any]:
        """Do something at Stripe by hand; what Stripe refuses is not done."""
        answer: dict[str, Any] = {}
        with suppress(aiohttp.ClientError):
            async with self.http.post(f"{self.url}{path}", data=form, allow_redirects=False) as response:
                if response.content_type == "application/json":
                    answer = await response.json()
        await self.check()
        return answer

    # What the shop and its people do. What they are refused is not done.

    async def place(self, order: Order, *, at_once: bool) -> None:
        """Place an order as the gateway does, which screens before the charge what cannot be held."""
        shop, mode = self.shop, self.shop.screening.mode
        if mode is ScreeningMode.BEFORE_CAPTURE and not await shop.stripe.can_hold(order.method):
            shop = replace(shop, screening=Screening(ScreeningMode.BEFORE_CHARGE))
        wish = await shop.wish(order, "gateway" if at_once else None)
        (answer,) = await accept.run(shop.pool, shop.ids, [wish], shop.clock.now())
        await self.check()
        if isinstance(answer, Accepted) and answer.claim is not None:
            sending = Sending(wish.payment_id, 1, answer.claim, wish.request, again=False)
            self.hand.append(InHand(work.SEND, sending))

    async def pay_otherwise(self, payment_id: UUID, method: str) -> None:
        """Try a failed payment again with another method, as the gateway does."""
        found = await renew.find(self.shop.pool, payment_id)
        self.hand.append(InHand(work.SEND, await self.shop.sending_again(found.payment, method)))
        await self.check()

    async def capture(self, payment_id: UUID, amount: int | None) -> None:
        """Ask for a capture, claimed by the gateway."""
        shop = self.shop
        wanted = capture.Wanted(payment_id, amount, "gateway")
        asked = await capture.ask(shop.pool, shop.ids, shop.stripe.capture, wanted, shop.clock.now())
        await self.check()
        if asked.claimed is not None:
            self.hand.append(InHand(work.CAPTURE, asked.claimed))

    async def cancel(self, payment_id: UUID) -> None:
        """Ask for a cancellation, claimed by the gateway."""
        shop = self.shop
        wanted = void.Wanted(payment_id, "gateway")
        asked = await void.ask(shop.pool, shop.ids, shop.stripe.cancellation, wanted, shop.clock.now())
        await self.check()
        if asked.claimed is not None:
            self.hand.append(InHand(work.LET_GO, asked.claimed))

    async def cancel_order(self, order_id: str) -> None:
        """Cancel an order."""
        shop = self.shop
        cancellation = Cancellation(order_id, CancelReason.CUSTOMER_REQUESTED, shop.clock.now())
        await cancel.run(shop.pool, shop.ids, cancellation, shop.clock.now())
        await self.check()

    async def ask_back(self, payment_id: UUID, amount: int | None, key: str) -> None:
        """Ask money back."""
        shop = self.shop
        await refund.ask(shop.pool, shop.ids, Wish(payment_id, key, amount), shop.clock.now())

    async def find(self, payment_id: UUID, finding: Finding) -> None:
        """Let a fraud check come to a finding."""
        shop, cause = self.shop, Cause(Source.FRAUD_CHECK, "check")
        await assess.run(shop.pool, shop.ids, [Check(payment_id, finding, cause)], shop.clock.now())
        await self.check()

    async def review(self, payment_id: UUID, finding: Finding) -> None:
        """Let a person decide."""
        shop, cause = self.shop, Cause(Source.REVIEW, "person")
        await assess.review(shop.pool, shop.ids, Check(payment_id, finding, cause), shop.clock.now())
        await self.check()

    # How it ends.

    async def settle(self) -> None:
        """Let everything that is not lost be heard, and all that is due be done, until nothing is due any more."""
        self.sandbox.script.clear()
        self.hand.clear()
        for _ in range(MOST_ROUNDS):
            unheard = [one for one in self.events() if one["id"] not in self.heard]
            if unheard:
                await self.deliver(unheard)
            await self._do_all_that_is_due()
            if all(one["id"] in self.heard for one in self.events()):
                moments = [await self.shop.pool.fetchval(_NEXT), self._next_at_stripe()]
                ahead = [moment for moment in moments if moment is not None]
                if not ahead:
                    break
                self.move_to(min(ahead))
        else:
            raise AssertionError(f"something is due for ever: {[dict(one) for one in self.books.payments]}")
        assert self.books.left_over() == []

    async def _do_all_that_is_due(self) -> None:
        for _ in range(MOST_AT_ONCE):
            if not await self.tend() + sum([await self.through(one) for one in work.ALL]):
                return
        raise AssertionError("the same is done over and over, in one moment")

    def _next_at_stripe(self) -> datetime | None:
        moment = self.sandbox.schedule.next_moment()
        return None if moment is None else datetime.fromtimestamp(moment, UTC) + timedelta(milliseconds=1)


@asynccontextmanager
async def opened(pool: Pool, *, mode: ScreeningMode, by_charges: bool) -> AsyncIterator[World]:
    """Yield a world without a payment in it, on a database whose tables are emptied for it."""
    await pool.execute(_EMPTY)
    clock = Clock()
    ids = TimeOrderedIds(clock, random.Random(1))  # noqa: S311 - a test wants the same ids each time
    sandbox = Sandbox(keys=[KEY], clock=SandboxClock(wall=lambda: clock.now().timestamp()), ids=SandboxIds(1))
    async with sandbox.serve() as server, aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as http:
        stripe = StripeProcessor(
            KEY, livemode=False, api_base=server.url, return_url="https://shop.example/back", by_charges=by_charges
        )
        yield World(Shop(pool, clock, ids, stripe, Screening(mode)), sandbox, http, server.url)
        await stripe.close()
