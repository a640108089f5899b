"""Comparisons that tests ask for, and the steps they take them through, as a worker does."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from tests.orders import Shop, claimant
from tests.refunds import Till

from counterfoil.domain.comparing import Resource, Standing, TheirPayment
from counterfoil.domain.money import Money
from counterfoil.domain.states import AttemptHappening
from counterfoil.domain.verdict import Cause, Source, Verdict
from counterfoil.journey import compare, learn
from counterfoil.processors.port import Books, Page
from counterfoil.roles.worker.comparisons import remedy
from counterfoil.roles.world import World
from counterfoil.store import reconciliations
from counterfoil.store.reconciliations import DifferenceView, ReconciliationView, Wanted

ROUNDS = 700
"""More than any comparison of these tests takes."""

PAGE = 100


@dataclass(frozen=True, slots=True)
class Auditor:
    """Compares both books as the worker does."""

    shop: Shop

    async def ask(self, since: timedelta = timedelta(days=3)) -> UUID:
        """Ask for a comparison of so much time until now."""
        shop = self.shop
        now, new = shop.clock.now(), shop.ids.new()
        async with shop.pool.acquire() as connection:
            await reconciliations.ask(connection, Wanted("auditor", now - since, now), new, now)
        return new

    async def page(self, books: Books | None = None) -> bool:
        """Compare one page, as a round of the worker does; return whether one was due."""
        shop = self.shop
        turn = await compare.claim(shop.pool, claimant(), shop.clock.now())
        if turn is None:
            return False
        read = await compare.read(shop.pool, books or shop.stripe.books, turn, shop.clock.now())
        recorded = await compare.record(shop.pool, shop.ids, read, shop.clock.now())
        await remedy(World(shop.pool, shop.clock, shop.ids), shop.stripe, recorded.told)
        return True

    async def run(self, reconciliation_id: UUID, books: Books | None = None) -> ReconciliationView:
        """Take a comparison to its end, the rest of the worker's work done beside it; return how it ended."""
        for _ in range(ROUNDS):
            if not await self.page(books):
                await self._beside()
                self.shop.clock.advance(timedelta(seconds=1))
            view = await reconciliations.view(self.shop.pool, reconciliation_id)
            assert view is not None
            if view.finished_at is not None:
                return view
        raise AssertionError("it does not end")

    async def compare(self, since: timedelta = timedelta(days=3), books: Books | None = None) -> ReconciliationView:
        """Ask for a comparison, and take it to its end."""
        return await self.run(await self.ask(since), books)

    async def differences(self, view: ReconciliationView, standing: Standing | None = None) -> list[DifferenceView]:
        """Return what differed."""
        return await reconciliations.differences(self.shop.pool, view.id, standing, None, 100)

    async def told(self, view: ReconciliationView) -> list[tuple[str, ...]]:
        """Return subject, verdict, ours, theirs and standing of what differed."""
        found = [(one.difference, one.standing) for one in await self.differences(view)]
        return [(one.subject, one.verdict, str(one.ours), str(one.theirs), standing) for one, standing in found]

    async def _beside(self) -> None:
        """What the worker does beside: refunds counted again, late facts learned."""
        shop = self.shop
        await Till(shop).recount()
        for due in await learn.claim_due(shop.pool, claimant(), shop.clock.now()):
            await learn.record(shop.pool, shop.ids, [await learn.call(shop.stripe, due)], shop.clock.now())


class Crowd:
    """Books of a processor with so many intents of ours, made page by page as they are asked for, and nothing else."""

    def __init__(self, ids: Sequence[UUID], at: datetime) -> None:
        self._ids, self._at = ids, at

    async def page(self, resource: Resource, _since: datetime, _until: datetime, behind: str | None) -> Page:
        """Return a hundred intents, each as large as Stripe's, or none of any other kind."""
        if resource is not Resource.INTENT:
            return Page()
        begin = 0 if behind is None else int(behind)
        shown = tuple(self._intent(one) for one in self._ids[begin : begin + PAGE])
        end = begin + len(shown)
        return Page(shown, last=str(end) if end < len(self._ids) else None, reached=self._at)

    def resource_of(self, _name: str) -> Resource:
        """Return that all go by their intents."""
        return Resource.INTENT

    async def show(self, _resource: Resource, name: str) -> Page:
        """Return one of them."""
        return Page((self._intent(UUID(name.removeprefix("pi_"))),))

    def _intent(self, payment_id: UUID) -> TheirPayment:
        name = f"pi_{payment_id}"
        verdict = Verdict(AttemptHappening.CAPTURED, Cause(Source.LOOK_UP, "req"), name, amount_captured=1999)
        return TheirPayment(Resource.INTENT, name, payment_id, Money(1999, "EUR"), verdict, self._at)
