"""What is heard of one decline is the same from whichever side, so it does not matter which side is heard first."""

import json
from uuid import UUID

import pytest
from tests.orders import order

from counterfoil.domain.money import Money
from counterfoil.domain.order import Mandate, Order
from counterfoil.domain.verdict import Decline, Verdict
from counterfoil.processors.port import Word
from counterfoil.processors.stripe import notices
from counterfoil.processors.stripe.client import StripeProcessor
from counterfoil.runtime.clock import SystemClock
from stripe_sandbox.sandbox import Sandbox

KEY = "sk_test_declines"
PAYMENT = UUID("01900000-0000-7000-8000-000000000001")
BACK = "https://shop.example/back"
WEEK_SECONDS = 7 * 86_400
CONSENT = Mandate(ip_address="192.0.2.7", user_agent="a browser")


def paid_by(method: str) -> Order:
    """An order that this method may pay."""
    if method.startswith("pm_card_authentication"):
        return order(method=method, off_session=True)
    if method.startswith(("pm_card_", "tok_")):
        return order(method=method)
    return order(method=method, mandate=CONSENT, money=Money(1999, "USD" if "usBank" in method else "EUR"))


async def heard(method: str) -> list[Verdict]:
    """Everything that is heard of a payment: the answer, each notice, and what a look-up finds in the end.

    What is paid by a token goes by the older API, where a declined charge names no payment and has to be found.
    """
    by_charges = method.startswith("tok_")
    async with Sandbox(keys=[KEY]).serve() as server:
        stripe = StripeProcessor(KEY, livemode=False, api_base=server.url, return_url=BACK, by_charges=by_charges)
        request, now = await stripe.request_for(PAYMENT, paid_by(method)), SystemClock().now()
        said = [await stripe.send(request, again=False)]
        await server.sandbox.advance(WEEK_SECONDS)
        words = [notices.read(json.dumps(event).encode()) for event in server.sandbox.account().events]
        said += [word.verdict for word in words if isinstance(word, Word) and word.verdict is not None]
        intent_id = said[0].intent_id
        assert (intent_id is None) is by_charges
        found = await stripe.find(PAYMENT, now, now, request) if intent_id is None else await stripe.look_up(intent_id)
        said.append(found)
        await stripe.close()
    return said


@pytest.mark.parametrize(
    "method",
    [
        "pm_card_chargeDeclined",
        "pm_card_chargeDeclinedInsufficientFunds",
        "pm_card_chargeDeclinedLostCard",
        "pm_card_chargeDeclinedExpiredCard",
        "pm_card_chargeDeclinedIncorrectCvc",
        "pm_card_chargeDeclinedProcessingError",
        "pm_card_chargeDeclinedVelocityLimitExceeded",
        "pm_card_authenticationRequired",
        "pm_card_chargeDeclinedFraudulent",
        "pm_card_radarBlock",
        "pm_usBankAccount_insufficientFunds",
        "pm_usBankAccount_noAccount",
        "pm_sepaDebit_failed_de",
        "tok_chargeDeclined",
        "tok_chargeDeclinedInsufficientFunds",
        "tok_chargeDeclinedExpiredCard",
        "tok_chargeDeclinedIncorrectCvc",
        "tok_chargeDeclinedProcessingError",
        "tok_chargeDeclinedFraudulent",
        "tok_radarBlock",
        "tok_threeDSecureRequired",
    ],
)
async def test_a_decline_reads_the_same_from_every_side(method: str) -> None:
    """The answer, the notice of the charge, that of the intent, and a look-up: one decline, of one charge."""
    declines: list[tuple[Decline, str | None]] = [
        (said.decline, said.charge_id) for said in await heard(method) if said.decline is not None
    ]
    assert len(declines) >= 3
    assert len(set(declines)) == 1
