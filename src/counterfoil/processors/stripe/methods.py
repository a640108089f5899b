"""What kinds of payment methods there are, and whose they are, as far as Stripe has to be asked: once for each."""

from dataclasses import dataclass
from typing import Final

import stripe

from counterfoil.domain.errors import MethodRefused, Unavailable
from counterfoil.domain.order import Order
from counterfoil.domain.payment import CaptureMethod
from counterfoil.processors.port import Priority
from counterfoil.processors.stripe import requests
from counterfoil.processors.stripe.transport import Turns

MOST_REMEMBERED: Final = 10_000
"""Payment methods that are remembered; then all are forgotten, which costs a question each."""

_OLDER_PREFIXES: Final = ("card_", "src_")
"""Names of what the older API keeps for customers."""

_CARD_PREFIXES: Final = ("tok_", "card_", "src_", "pm_card_")
"""Names of methods that say by themselves that they are cards; Stripe's test methods among them."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What Stripe said of a payment method: its kind, and whose it is."""

    kind: str
    customer: str | None


class Methods:
    """Payment methods by their names."""

    def __init__(self, client: stripe.StripeClient, turns: Turns) -> None:
        self._client, self._turns = client, turns
        self._known: dict[str, _Known] = {}

    async def can_hold(self, method: str) -> bool:
        """Return whether Stripe places a hold on a method of this kind; raises as `kind_of`."""
        return await self.kind_of(method) in requests.HOLDING

    async def charged_kind(self, order: Order) -> str:
        """Return the type of the order's method; raises MethodRefused where money is to be held on one that cannot be.

        Stripe would call the request wrong, which is a mistake of ours then, and here it is the caller's.
        """
        kind = await self.kind_of(order.method)
        if order.capture_method is CaptureMethod.MANUAL and kind not in requests.HOLDING:
            raise MethodRefused("cannot be held: it is charged, or not at all")
        return kind

    async def kind_of(self, method: str) -> str:
        """Return the type of a payment method, asking Stripe once for those whose name does not tell.

        Raises:
            MethodRefused: Stripe does not know the method.
            Unavailable: Stripe had to be asked, and did not answer.
        """
        if method.startswith(_CARD_PREFIXES):
            return "card"
        if method not in self._known:
            try:
                async with self._turns.turn(Priority.CHARGE):  # the order that names it waits for the answer
                    found = await self._client.payment_methods.retrieve_async(method)
            except stripe.InvalidRequestError:
                raise MethodRefused("is unknown to Stripe") from None
            except Exception as error:
                raise Unavailable("processor") from error
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            customer = found.customer if isinstance(found.customer, str) else None
            self._known[method] = _Known(found.type, customer)
        return self._known[method].kind

    def is_kept_for(self, method: str, customer: str) -> bool:
        """Return whether a method is attached to that customer, as far as we know.

        A card or a source of the older API is its customer's wherever it is charged with one; of a PaymentMethod we
        know it from Stripe's answer when we asked of what kind it is.
        """
        known = self._known.get(method)
        return method.startswith(_OLDER_PREFIXES) or (known is not None and known.customer == customer)
