"""Card numbers: which test card each is, and how they are kept out of everything that the sandbox holds.

A number is sealed as soon as its request has been read: what remains is the name of the test card in the catalogue, the
last four digits and a keyed digest, which tells another number or security code under the same idempotency key.

Source: https://docs.stripe.com/testing; the errors are those of its section on invalid data and of /declines/codes.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote_plus

from stripe_sandbox.errors import CARD_ERROR, InvalidError, RefusedError
from stripe_sandbox.form import Raw
from stripe_sandbox.params import text_of

NUMBERS: Final[Mapping[str, str]] = {
    "4242424242424242": "visa",
    "4000056655665556": "visa_debit",
    "5555555555554444": "mastercard",
    "2223003122003222": "mastercard",
    "5200828282828210": "mastercard_debit",
    "5105105105105100": "mastercard_prepaid",
    "371449635398431": "amex",
    "378282246310005": "amex_threeDSecureNotSupported",
    "6011111111111117": "discover",
    "6011000990139424": "discover",
    "3056930009020004": "diners",
    "36227206271667": "diners",
    "3566002020360505": "jcb",
    "6200000000000005": "unionpay",
    "6205500000000000004": "unionpay",
    "4000000760000002": "br",
    "4000001240000000": "ca",
    "4000004840008001": "mx",
    "4000008260000000": "gb",
    "4000002760000016": "de",
    "4000002500000003": "fr",
    "4000000000000002": "chargeDeclined",
    "4000000000009995": "chargeDeclinedInsufficientFunds",
    "4000000000009987": "chargeDeclinedLostCard",
    "4000000000009979": "chargeDeclinedStolenCard",
    "4000000000000069": "chargeDeclinedExpiredCard",
    "4000000000000127": "chargeDeclinedIncorrectCvc",
    "4000000000000119": "chargeDeclinedProcessingError",
    "4000000000006975": "chargeDeclinedVelocityLimitExceeded",
    "4000000000000341": "chargeCustomerFail",
    "4100000000000019": "radarBlock",
    "4000000000004954": "riskLevelHighest",
    "4000000000009235": "riskLevelElevated",
    "4000000000000101": "cvcCheckFail",
    "4000000000000259": "createDispute",
    "4000000000002685": "createDisputeProductNotReceived",
    "4000000000001976": "createDisputeInquiry",
    "4000000000007726": "pendingRefund",
    "4000000000005126": "refundFail",
    "4000000000000077": "bypassPending",
    "4000002500003155": "authenticationRequiredOnSetup",
    "4000002760003184": "authenticationRequired",
    "4000003800000446": "authenticationRequiredSetupForOffSession",
    "4000008260003178": "authenticationRequiredChargeDeclinedInsufficientFunds",
    "4000000000003220": "threeDSecure2Required",
    "4000000000003063": "threeDSecureRequired",
    "4000008400001629": "threeDSecureRequiredChargeDeclined",
    "4000000000003055": "threeDSecureOptional",
}
"""By number, what follows `pm_card_` in the name of the test PaymentMethod that is the same card."""

REFUSED: Final = "refused"
MISTYPED: Final = "mistyped"
UNKNOWN: Final = "unknown"

LENGTHS: Final = range(12, 20)
"""How many digits a card number has (ISO/IEC 7812)."""

CVC_LENGTHS: Final = (3, 4)

YEARS_AHEAD: Final = 50
"""Stripe takes no year further away."""

SECRET_FIELDS: Final = ("[number]", "[cvc]")
LONG_NUMBER: Final = re.compile(r"(?:\d[ -]?){8,15}(?=\d{4}(?!\d))", re.ASCII)


def sealed(raw: Mapping[str, Raw], key: str | None) -> dict[str, Raw]:
    """A request's parameters without a card's number and security code, wherever a `card` is among them.

    Args:
        raw: what was sent.
        key: of the digests; none where card numbers are not accepted, and then nothing of them is left.
    """
    return {
        name: value if isinstance(value, str) else _sealed_card(value, key) if name == "card" else sealed(value, key)
        for name, value in raw.items()
    }


def _sealed_card(card: Mapping[str, Raw], key: str | None) -> dict[str, Raw]:
    kept = dict(card)
    number, cvc = kept.get("number"), kept.get("cvc")
    if isinstance(cvc, str):
        kept["cvc"] = re.sub(r"\d", "*", cvc[:8])
    if isinstance(number, str):
        kept["number"] = REFUSED if key is None else _sealed_number(number, cvc if isinstance(cvc, str) else "", key)
    return kept


def _sealed_number(number: str, cvc: str, key: str) -> str:
    digits = re.sub(r"[ -]", "", number)
    digest = hmac.new(key.encode(), f"{digits}/{cvc}".encode(), hashlib.sha256).hexdigest()
    well_typed = digits.isascii() and digits.isdigit() and len(digits) in LENGTHS and _adds_up(digits)
    name = NUMBERS.get(digits, UNKNOWN) if well_typed else MISTYPED
    return f"{name}/{digits[-4:] if well_typed else ''}/{digest}"


def _adds_up(digits: str) -> bool:
    """Luhn's check (ISO/IEC 7812-1, annex B)."""
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0  # noqa: PLR2004 - more than a digit, whose sum is wanted


class Number:
    """A card number that has been sealed."""

    __slots__ = ()

    def read(self, raw: Raw, name: str) -> tuple[str, str]:
        """The card's name in the catalogue, or what is wrong with the number, and its last four digits.

        Raises:
            InvalidError: numbers are refused, as Stripe refuses them from accounts that may not handle them.
        """
        sealed_text = text_of(raw, name)
        if sealed_text == REFUSED:
            raise InvalidError(
                "Card numbers are not accepted here, as Stripe accepts them from few: use the test token or "
                "PaymentMethod of the same card, such as tok_visa or pm_card_visa, or start the sandbox with "
                "--card-numbers and use a test key.",
                name,
            )
        card, last4, _ = sealed_text.split("/")
        return card, last4


def face(sent: Mapping[str, Any], where: str, now: int) -> dict[str, Any]:
    """What a card shows that was given by its number, once nothing is wrong with it.

    Args:
        sent: what `number`, `exp_month`, `exp_year` and `cvc` were read as.
        where: the parameter that they are in.
        now: in seconds since 1970.

    Returns:
        `name` in the catalogue, `last4`, `exp_month`, `exp_year`, and whether a `cvc` was given.

    Raises:
        InvalidError: something is missing.
        RefusedError: 402, one of them is wrong, or the card is no test card.
    """
    for needed in ("number", "exp_month", "exp_year"):
        if needed not in sent:
            name = f"{where}[{needed}]"
            raise InvalidError(f"Missing required param: {name}.", name, "parameter_missing")
    name, last4 = sent["number"]
    if name == MISTYPED:
        raise _wrong("incorrect_number", "Your card number is incorrect.", "number")
    month, year = sent["exp_month"], _whole_year(sent["exp_year"])
    today = datetime.fromtimestamp(now, UTC)
    if not 1 <= month <= 12:  # noqa: PLR2004 - the months of a year
        raise _wrong("invalid_expiry_month", "Your card's expiration month is invalid.", "exp_month")
    if not today.year <= year <= today.year + YEARS_AHEAD:
        raise _wrong("invalid_expiry_year", "Your card's expiration year is invalid.", "exp_year")
    if (year, month) < (today.year, today.month):
        raise _wrong("invalid_expiry_month", "Your card's expiration month is invalid.", "exp_month")
    if "cvc" in sent and (len(sent["cvc"]) not in CVC_LENGTHS or set(sent["cvc"]) != {"*"}):
        raise _wrong("invalid_cvc", "Your card's security code is invalid.", "cvc")
    if name == UNKNOWN:
        raise RefusedError(
            402,
            "Your card was declined: the request was in test mode, and the card is none of the test cards.",
            kind=CARD_ERROR,
            code="card_declined",
            param="number",
            details={"decline_code": "test_mode_live_card"},
        )
    return {"name": name, "last4": last4, "exp_month": month, "exp_year": year, "cvc": "cvc" in sent}


def _wrong(code: str, message: str, param: str) -> RefusedError:
    return RefusedError(402, message, kind=CARD_ERROR, code=code, param=param)


def _whole_year(year: int) -> int:
    """A year of two digits is of this century up to 69, and of the last one from there on, as POSIX reads them."""
    if not 0 <= year < 100:  # noqa: PLR2004 - what two digits can say
        return year
    return year + (2000 if year < 69 else 1900)  # noqa: PLR2004 - POSIX's own bound


def masked(text: str) -> str:
    """A form as it was sent, but for card numbers, which show four digits, and security codes, which show none.

    What is no form shows four digits of anything as long as a card number.
    """
    if "=" not in text or text.startswith(("{", "[")):
        return LONG_NUMBER.sub("…", text)
    return "&".join(_masked_pair(pair) for pair in text.split("&"))


def _masked_pair(pair: str) -> str:
    name, equals, value = pair.partition("=")
    plain = unquote_plus(name).lower()
    if not any(field in plain for field in SECRET_FIELDS):
        return pair
    shown = re.sub(r"\D", "", unquote_plus(value))[-4:] if "[number]" in plain and len(value) > 4 else ""  # noqa: PLR2004 - the last four
    return f"{name}{equals}…{shown}"
