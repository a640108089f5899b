"""The whole life of the money: whatever happens to some payments, in whatever order, no money is made or lost.

Hypothesis makes up what happens: orders, answers that are recorded, late or lost, notices in any order, looks, people,
customers' banks, and time. The workers take every step by itself, so that anything may come in between. After each
commit both sides are compared (`Books.faults`); at the end everything is heard and done, and then they must be the
same (`Books.left_over`).
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import asyncpg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from tests import told
from tests.journey.whole_life import work, world
from tests.journey.whole_life.world import InHand, World
from tests.orders import order

from counterfoil.domain.errors import CounterfoilError
from counterfoil.domain.money import Money
from counterfoil.domain.order import Item, Mandate, Order
from counterfoil.domain.payment import CaptureMethod, ScreeningMode
from counterfoil.domain.screening import Finding
from counterfoil.store.pool import Pool, open_pool

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

DAYS: Final = 25
"""How long orders are placed and people do things; what is open then settles within two more weeks."""

BY_INTENT: Final = (
    "pm_card_visa",
    "pm_card_visa",
    "pm_card_visa",
    "pm_card_visa_chargeDeclined",
    "pm_card_threeDSecure2Required",
    "pm_card_createDispute",
    "pm_card_refundFail",
    "pm_card_pendingRefund",
    "pm_sepaDebit_success_de",
    "pm_sepaDebit_failed_de",
    "pm_sepaDebit_disputed_de",
    "stored",
    "stored, declined",
)
BY_CHARGE: Final = (
    "tok_visa",
    "tok_visa",
    "tok_chargeDeclinedInsufficientFunds",
    "tok_createDispute",
    "tok_refundFail",
    "tok_pendingRefund",
)
FAULTS: Final[tuple[dict[str, Any], ...]] = (
    {"fault": "lose_answer"},
    {"fault": "cut_body"},
    {"fault": "reset"},
    {"fault": "error", "status": 500, "effect": "none"},
    {"fault": "error", "status": 500, "effect": "done"},
    {"fault": "error", "status": 500, "effect": "later", "after_seconds": 600},
    {"fault": "error", "status": 500, "effect": "later", "after_seconds": 7200},
    {"fault": "error", "status": 502},
    {"fault": "error", "status": 503, "effect": "done"},
    {"fault": "key_in_use"},
    {"fault": "rate_limit"},
    {"fault": "lock_timeout"},
)
WAITS: Final = tuple(
    timedelta(**wait)
    for wait in (
        {"seconds": 1},
        {"seconds": 20},
        {"minutes": 2},
        {"minutes": 11},
        {"minutes": 65},
        {"hours": 7},
        {"days": 1},
        {"days": 3},
        {"days": 8},
    )
)
MADE_UP_FOR: Final = ("payment_intent.", "charge.succeeded", "charge.failed", "charge.captured", "charge.updated")
"""Which events may never come: of an outcome and of a fee we ask ourselves. Of refunds made elsewhere, of those that
fail later and of disputes only Stripe's own tries tell, for three days."""

HUNTED: Final = os.environ.get("EXAMPLES_FOR_TESTS")  # noqa: TID251 - how long to hunt is the caller's to say
HOW_OFTEN: Final = settings(
    max_examples=int(HUNTED or 80),
    derandomize=HUNTED is None,
    stateful_step_count=40,
    deadline=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
"""The same lives in every run of the suite; others in each hunt, which EXAMPLES_FOR_TESTS makes as long as it says."""

ASKED: Final = (None, None, 2000, 700, "cancel", "cancel order", *Finding, Finding.APPROVED, Finding.APPROVED)
"""What people ask of a payment, and checks find: to take so much, or all; not to have it; that it is fraud, or not."""

BY_HAND: Final = ("300", "1500", "capture", "cancel", "winning_evidence", "losing_evidence")
"""What somebody does at Stripe itself: amounts are given back."""

PLACES: Final = st.integers(0, 40)
"""Which one of several: counted round, so that every number is one."""

MAYBE: Final = st.integers(0, 2 * len(FAULTS))
"""Which fault a call meets; as likely none."""


class Life(RuleBasedStateMachine):
    """Some payments, and all that may happen to them."""

    def __init__(self, runner: asyncio.Runner, pool: Pool) -> None:
        super().__init__()
        self._runner, self._pool = runner, pool
        self._open = AsyncExitStack()
        self._sound = False
        self.world: World

    def _run(self, doing: Awaitable[Any]) -> None:
        """Do something; what is refused is as good as not done, and checked all the same."""

        async def refusable() -> None:
            try:
                await doing
            except CounterfoilError:
                await self.world.check()

        self._sound = False
        self._runner.run(refusable())
        self._sound = True

    def _payment(self, place: int) -> Any:
        payments = self.world.books.payments
        return payments[place % len(payments)]

    @initialize(
        mode=st.sampled_from([ScreeningMode.NONE, *ScreeningMode]),
        by_charges=st.sampled_from([False, False, True]),
        method=PLACES,
        held=st.booleans(),
        fault=MAYBE,
    )
    def begin(self, mode: ScreeningMode, by_charges: bool, method: int, held: bool, fault: int) -> None:  # noqa: FBT001 - drawn by it
        """There is a shop, screening in some way, with one of the two drivers; and a first order, for its gateway."""
        opening = self._open.enter_async_context(world.opened(self._pool, mode=mode, by_charges=by_charges))
        self.world = self._runner.run(opening)
        self._methods = BY_CHARGE if by_charges else BY_INTENT
        self.place(0, method, held, True, fault)  # noqa: FBT003 - as a rule is called

    @rule(number=st.integers(0, 3), method=PLACES, held=st.booleans(), at_once=st.booleans(), fault=MAYBE)
    def place(self, number: int, method: int, held: bool, at_once: bool, fault: int) -> None:  # noqa: FBT001 - drawn by it
        """An order is placed; four events for three orders."""
        name = self._methods[method % len(self._methods)]
        capture = CaptureMethod.MANUAL if held and "Debit" not in name else CaptureMethod.AUTOMATIC
        self._run(self._place(number, name, capture, at_once=at_once, fault=fault))

    async def _place(self, number: int, name: str, capture: CaptureMethod, *, at_once: bool, fault: int) -> None:
        await self.world.place(await self._order(number, name, capture), at_once=at_once)
        await self._finish(-1, fault)

    async def _order(self, number: int, name: str, capture: CaptureMethod) -> Order:
        changes: dict[str, Any] = {
            "order_id": f"order-{number % 3}",
            "money": Money(2000, "EUR"),
            "capture_method": capture,
            "items": (Item("cup", 1),),
        }
        if "Debit" in name:
            changes["mandate"] = Mandate(ip_address="192.0.2.7", user_agent="a browser")
        if name.startswith("stored"):
            customer = (await self.world.post("/v1/customers")).get("id", "cus_0")
            card = "pm_card_visa" if name == "stored" else "pm_card_chargeCustomerFail"
            kept = await self.world.post(f"/v1/payment_methods/{card}/attach", customer=customer)
            name = kept.get("id", card)
            changes |= {"customer_id": customer, "off_session": True}
        return order(number, name, **changes)

    async def _finish(self, place: int, fault: int, *, dies: bool = False) -> None:
        """Take something in hand to its end, where there is anything; what it sends may meet a fault."""
        if not self.world.hand:
            return
        held = self.world.hand.pop(place % len(self.world.hand))
        if not held.called:
            await self._call(held, fault)
        if not dies:
            await self.world.record(held)

    async def _call(self, held: InHand, fault: int) -> None:
        script = self.world.sandbox.script
        if fault < len(FAULTS):
            script.add([{"path": "/v1/**"} | FAULTS[fault]])
        await self.world.call(held)
        script.clear()

    @rule(one=st.sampled_from(work.ALL), ends=st.sampled_from(["claimed", "recorded", "recorded", "dies"]), fault=MAYBE)
    def work(self, one: work.Work, ends: str, fault: int) -> None:
        """A worker does what is due of one kind of work; or begins it only, or dies before it is recorded."""

        async def worked() -> None:
            claimed = await self.world.claim(one)
            self.world.hand.extend(claimed)
            for _ in claimed if ends != "claimed" else ():
                await self._finish(-1, fault, dies=ends == "dies")

        self._run(worked())

    @rule(place=PLACES, ends=st.sampled_from(["called", "recorded", "dies"]), fault=MAYBE)
    def go_on(self, place: int, ends: str, fault: int) -> None:
        """Who has claimed something calls for it, or goes on to its end, early or late, or dies."""
        held = self.world.hand[place % len(self.world.hand)] if self.world.hand else None
        if ends != "called":
            self._run(self._finish(place, fault, dies=ends == "dies"))
        elif held is not None and not held.called:
            self._run(self._call(held, fault))

    @rule()
    def work_on_all(self) -> None:
        """A worker goes round once."""

        async def round_() -> None:
            await self.world.tend()
            for one in work.ALL:
                await self.world.through(one)

        self._run(round_())

    @rule(wait=st.sampled_from(WAITS))
    def wait(self, wait: timedelta) -> None:
        """Time passes."""
        clock = self.world.shop.clock
        if clock.now() + wait < told.START + timedelta(days=DAYS):
            self.world.move_to(clock.now() + wait)

    @rule(places=st.lists(PLACES, min_size=1, max_size=4), read=st.booleans())
    def deliver(self, places: list[int], read: bool) -> None:  # noqa: FBT001 - hypothesis draws it
        """Events arrive, the newest as likely as others, some for the second time; they are read now or later."""

        async def delivered() -> None:
            events = self.world.events()
            for place in places if events else ():
                await self.world.deliver([events[-1 - place % len(events)]])
            if read:
                await self.world.tend()

        self._run(delivered())

    @rule(place=PLACES)
    def lose(self, place: int) -> None:
        """An event never comes."""
        events = [one for one in self.world.events() if one["type"].startswith(MADE_UP_FOR)]
        if events:
            self.world.lost.add(events[-1 - place % len(events)]["id"])

    @rule(place=PLACES, what=st.sampled_from(ASKED), fault=MAYBE)
    def ask(self, place: int, what: str | int | Finding | None, fault: int) -> None:
        """People and checks: so much of a hold is wanted, a payment or an order is not, a check or a person decides."""
        payment = self._payment(place)

        async def asked() -> None:
            match what:
                case "cancel":
                    await self.world.cancel(payment["id"])
                case "cancel order":
                    await self.world.cancel_order(payment["order_id"])
                case Finding():
                    if payment["reviewing"] and what is not Finding.MANUAL_REVIEW:
                        await self.world.review(payment["id"], what)
                    await self.world.find(payment["id"], what)
                case None | int():
                    await self.world.capture(payment["id"], what)
            if fault != place:  # else the gateway is slow, and others come before it
                await self._finish(-1, fault)

        self._run(asked())

    @rule(place=PLACES, amount=st.sampled_from([None, 500, 1200]), times=st.integers(1, 3), fault=MAYBE)
    def ask_back(self, place: int, amount: int | None, times: int, fault: int) -> None:
        """Somebody asks money back, or several at once; a worker sends it now or later."""

        async def asked() -> None:
            payment_id, key = self._payment(place)["id"], len(self.world.books.ours["refunds"])
            asking = [self.world.ask_back(payment_id, amount, f"{key}-{n}") for n in range(times)]
            for answer in await asyncio.gather(*asking, return_exceptions=True):
                if isinstance(answer, BaseException) and not isinstance(answer, CounterfoilError):
                    raise answer
            await self.world.check()
            if fault != place:
                self.world.hand.extend(await self.world.claim(work.REFUND))
                await self._finish(-1, fault)

        self._run(asked())

    @rule(place=PLACES, method=PLACES, fault=MAYBE)
    def pay_otherwise(self, place: int, method: int, fault: int) -> None:
        """A customer pays a failed payment with another card."""
        names = [name for name in self._methods if "Debit" not in name and not name.startswith("stored")]

        async def paid() -> None:
            await self.world.pay_otherwise(self._payment(place)["id"], names[method % len(names)])
            await self._finish(-1, fault)

        self._run(paid())

    @rule(outcome=st.sampled_from(["approve", "approve", "refuse"]))
    def identify(self, outcome: str) -> None:
        """A customer answers their bank."""
        for challenge in list(self.world.sandbox.account().challenges.values())[:1]:
            path = f"/redirect/authenticate/{challenge.intent_id}?client_secret={challenge.client_secret}"
            self._run(self.world.post(path, outcome=outcome))

    @rule(place=PLACES, what=st.sampled_from(BY_HAND))
    def act_by_hand(self, place: int, what: str) -> None:
        """Somebody does something at Stripe itself: gives back, captures, cancels, or answers a dispute."""
        account = self.world.sandbox.account()
        charges = [one["id"] for one in account.charges if one["captured"]]
        disputes, intents = ([one["id"] for one in kind] for kind in (account.disputes, account.payment_intents))
        if what.isdecimal() and charges:
            self._run(self.world.post("/v1/refunds", charge=charges[place % len(charges)], amount=what))
        elif what.endswith("evidence") and disputes:
            self._run(self.world.post(f"/v1/disputes/{disputes[-1]}", **{"evidence[uncategorized_text]": what}))
        elif what in ("capture", "cancel") and intents:
            self._run(self.world.post(f"/v1/payment_intents/{intents[place % len(intents)]}/{what}"))

    @override
    def teardown(self) -> None:
        """All that was not lost is heard, all that is due is done, and nothing is left over."""
        if self._sound:
            self._runner.run(self.world.settle())
        self._runner.run(self._open.aclose())


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """A loop of this test's own: hypothesis calls, and does not wait."""
    with asyncio.Runner() as loop:
        yield loop


@pytest.fixture
def life(runner: asyncio.Runner, postgres_url: str, migrated_template: str) -> Iterator[Callable[[], Life]]:
    """Begins lives, one after the other on one database, whose partitions reach to the end of the longest."""
    name, opened = "whole_life", AsyncExitStack()
    server = runner.run(asyncpg.connect(postgres_url))

    async def open_() -> Pool:
        await server.execute(f'CREATE DATABASE "{name}" TEMPLATE "{migrated_template}"')
        url = urlsplit(postgres_url)._replace(path=f"/{name}").geturl()
        pool = await opened.enter_async_context(open_pool(url, name="test", largest=3))
        await pool.execute("SELECT make_notice_partitions($1, $2)", told.START.date(), DAYS + 60)
        return pool

    pool = runner.run(open_())
    yield lambda: Life(runner, pool)
    runner.run(opened.aclose())
    runner.run(server.execute(f'DROP DATABASE "{name}" WITH (FORCE)'))
    runner.run(server.close())


def test_whatever_happens_no_money_is_made_or_lost(life: Callable[[], Life]) -> None:
    """Both sides are sound after every commit, and the same when all is over."""
    run_state_machine_as_test(life, settings=HOW_OFTEN)  # type: ignore[arg-type]  # a factory will do, as documented
