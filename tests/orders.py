"""Orders that tests place, and the steps they take them through."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from tests.told import Clock

from counterfoil.domain.errors import CounterfoilError
from counterfoil.domain.money import Money
from counterfoil.domain.order import Order
from counterfoil.domain.payment import Payment
from counterfoil.domain.screening import NO_SCREENING, Screening, as_asked
from counterfoil.journey import accept, authorize, renew
from counterfoil.journey.accept import Accepted, Repeated, Wish
from counterfoil.journey.authorize import Sending
from counterfoil.journey.renew import Renewal
from counterfoil.processors.stripe.client import StripeProcessor
from counterfoil.runtime.ids import Ids
from counterfoil.store.payments import Claimant
from counterfoil.store.pool import Pool


def order(number: int = 1, method: str = "pm_card_visa", **changes: Any) -> Order:
    """An order of 19.99 euros; the same number is the same event and the same order."""
    wished: dict[str, Any] = {
        "event_id": f"event-{number}",
        "order_id": f"order-{number}",
        "money": Money(1999, "EUR"),
        "payment_method": method,
    }
    return Order(**(wished | changes))


def claimant(name: str = "worker") -> Claimant:
    """A process of that name, with a key that nobody has paused."""
    return Claimant(name, "test key")


@dataclass(frozen=True, slots=True)
class Shop:
    """Takes orders through the steps, as the roles do."""

    pool: Pool
    clock: Clock
    ids: Ids
    stripe: StripeProcessor
    screening: Screening = NO_SCREENING

    async def place(
        self,
        *orders: Order,
        owner: str | None = "test",
    ) -> Sequence[Accepted | Repeated | CounterfoilError]:
        """Accept orders, all in one batch."""
        wishes = [await self.wish(wished, owner) for wished in orders]
        return await accept.run(self.pool, self.ids, wishes, self.clock.now())

    async def wish(self, wished: Order, owner: str | None) -> Wish:
        """Name a payment, and ask for its request: for a hold where what is held is screened first."""
        payment_id = self.ids.new()
        request = await self.stripe.request_for(payment_id, as_asked(wished, self.screening.mode))
        stored = self.stripe.may_charge_again(request)
        return Wish(payment_id, wished, request, False, owner, stored, self.screening)  # noqa: FBT003 - not live

    async def accepted(self, wished: Order, owner: str | None = "test") -> Payment:
        """Accept one order that must be accepted."""
        (answer,) = await self.place(wished, owner=owner)
        assert isinstance(answer, Accepted), answer
        return answer.payment

    async def sending(self, wished: Order) -> Sending:
        """Accept one order for ourselves; return what is to be sent, without sending it."""
        wish = await self.wish(wished, "test")
        (answer,) = await accept.run(self.pool, self.ids, [wish], self.clock.now())
        assert isinstance(answer, Accepted), answer
        assert answer.claim is not None
        return Sending(wish.payment_id, 1, answer.claim, wish.request, again=False)

    async def send(self, sending: Sending) -> Payment:
        """Send, and record what was heard."""
        heard = await authorize.call(self.stripe, sending, self.clock)
        (payment,) = await authorize.record(self.pool, self.ids, [heard], self.clock.now())
        return payment

    async def charge(self, wished: Order) -> Payment:
        """Take an order all the way, as an inline charge does."""
        return await self.send(await self.sending(wished))

    async def wanted_again(self, payment: Payment, method: str) -> Renewal:
        """Return what a failed payment is to be tried again with; nothing is written yet."""
        found = await renew.find(self.pool, payment.id)
        wished, number = replace(found.order, payment_method=method), len(found.payment.attempts) + 1
        asked = as_asked(wished, found.payment.screening_mode)
        request = await self.stripe.request_again(payment.id, found.payment.intent_id, number, asked)
        return Renewal(found.payment, method, request, "test")

    async def sending_again(self, payment: Payment, method: str = "pm_card_visa") -> Sending:
        """Add a further attempt for ourselves; return what is to be sent, without sending it."""
        wanted = await self.wanted_again(payment, method)
        renewed = await renew.run(self.pool, self.ids, wanted, self.clock.now())
        return Sending(payment.id, len(renewed.payment.attempts), renewed.claim, wanted.request, again=False)

    async def charge_again(self, payment: Payment, method: str = "pm_card_visa") -> Payment:
        """Take a failed payment through a further attempt, as the gateway does."""
        return await self.send(await self.sending_again(payment, method))

    async def facts(self, payment: Payment) -> list[tuple[int, str, str]]:
        """Every fact of a payment: number, name, and what kind of cause it had."""
        rows = await self.pool.fetch(
            "SELECT version, name, cause_source FROM facts WHERE payment_id = $1 ORDER BY version",
            payment.id,
        )
        return [tuple(row.values()) for row in rows]

    async def state(self, payment: Payment) -> str:
        """How a payment stands in the store."""
        state: str = await self.pool.fetchval("SELECT state FROM payments WHERE id = $1", payment.id)
        return state
