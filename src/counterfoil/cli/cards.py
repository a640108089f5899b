"""What may stand behind `--card`: a short name of a test card, or the id of a payment method. Never a card number."""

import re

from counterfoil.cli.exits import WrongUsage

TEST_CARDS = {
    "visa": "pm_card_visa",
    "mastercard": "pm_card_mastercard",
    "amex": "pm_card_amex",
    "discover": "pm_card_discover",
    "declined": "pm_card_visa_chargeDeclined",
    "insufficient-funds": "pm_card_visa_chargeDeclinedInsufficientFunds",
    "lost": "pm_card_visa_chargeDeclinedLostCard",
    "stolen": "pm_card_visa_chargeDeclinedStolenCard",
    "expired": "pm_card_chargeDeclinedExpiredCard",
    "incorrect-cvc": "pm_card_chargeDeclinedIncorrectCvc",
    "processing-error": "pm_card_chargeDeclinedProcessingError",
    "3d-secure": "pm_card_threeDSecure2Required",
}
"""Short names for Stripe's documented test payment methods ("Testing", cards by brand and declined payments)."""

_METHOD_ID = re.compile(r"(pm|tok|card|src)_[A-Za-z0-9_]{1,200}")
_DIGITS_MIN = 12
"""The shortest card numbers (ISO/IEC 7812) have 12 digits or more; no name or id of ours has as many digits alone."""


def payment_method_of(card: str) -> str:
    """Return the payment method's id. Raises WrongUsage for anything else, without repeating it."""
    if card in TEST_CARDS:
        return TEST_CARDS[card]
    if _METHOD_ID.fullmatch(card):
        return card
    if re.fullmatch(r"[\d .-]+", card) and sum(sign.isdigit() for sign in card) >= _DIGITS_MIN:
        raise WrongUsage(
            "--card looks like a card number, which is never taken here (and is now in your shell's history): "
            "name a test card or a payment method's id"
        )
    raise WrongUsage(f"--card must be the id of a payment method (pm_…) or one of: {', '.join(TEST_CARDS)}")
