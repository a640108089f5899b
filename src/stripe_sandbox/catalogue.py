"""Stripe's documented test PaymentMethods and tokens, and how each behaves.

Source: https://docs.stripe.com/testing (refunds: #refunds), /payments/3d-secure/authentication-flow,
/payments/ach-direct-debit/accept-a-payment and /payments/sepa-debit/accept-a-payment. A name is what follows
`pm_card_` and `tok_`; bank debits are named whole.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal

DAY_SECONDS: Final = 86_400

DEBIT_SETTLES_SECONDS: Final = 3 * DAY_SECONDS
"""ACH takes up to four business days, SEPA as a rule five (docs of both). One figure for both, which ACH allows; the
accounts that Stripe calls delayed take longer."""

DELAYED_DEBIT_SETTLES_SECONDS: Final = 6 * DAY_SECONDS
"""For the test accounts that Stripe calls delayed."""


class ThreeDSecure(Enum):
    """Whether the issuer asks the cardholder."""

    NOT_ENROLLED = "not_enrolled"
    UNSUPPORTED = "unsupported"
    OPTIONAL = "optional"  # asked only when the request demands it
    REQUIRED = "required"
    REQUIRED_ON_SESSION = "required_on_session"  # already set up for payments without the customer


class RefundCourse(Enum):
    """What becomes of a refund to a card."""

    SUCCEEDS = "succeeds"
    PENDS = "pends"  # it succeeds, but later
    FAILS_LATER = "fails_later"  # it seems to succeed


@dataclass(frozen=True, slots=True)
class Complaint:
    """Why the cardholder or account holder disputes a payment that succeeded.

    An inquiry takes no money yet; what is final is lost from the start.
    """

    reason: str
    network_code: str | None = None
    inquiry: bool = False
    final: bool = False


@dataclass(frozen=True, slots=True)
class Decline:
    """Why the issuer, the bank or Radar says no."""

    code: str
    message: str
    decline_code: str | None = None
    param: str | None = None
    blocked: bool = False  # by Radar, so it never reached the network


@dataclass(frozen=True, slots=True)
class Card:
    """A test card."""

    brand: str
    last4: str
    funding: Literal["credit", "debit", "prepaid"] = "credit"
    country: str = "US"
    three_d_secure: ThreeDSecure = ThreeDSecure.NOT_ENROLLED
    decline: Decline | None = None
    risk_level: Literal["normal", "elevated", "highest"] = "normal"
    cvc_check: Literal["pass", "fail"] = "pass"
    bypasses_pending: bool = False  # the money is available at once
    refund: RefundCourse = RefundCourse.SUCCEEDS
    complaint: Complaint | None = None


@dataclass(frozen=True, slots=True)
class BankDebit:
    """A test bank account: `settles_seconds` after confirmation it pays, or bounces with `decline`; `None` is never."""

    type: Literal["us_bank_account", "sepa_debit"]
    last4: str
    country: str
    settles_seconds: int | None = DEBIT_SETTLES_SECONDS
    decline: Decline | None = None
    complaint: Complaint | None = None


@dataclass(frozen=True, slots=True)
class BankTransfer:
    """A customer's cash balance: it never declines, it waits for money."""

    type: Literal["customer_balance"] = "customer_balance"
    decline: None = None
    complaint: None = None


DECLINED: Final = "Your card was declined."

DECLINES: Final[Mapping[str, tuple[str, Decline]]] = {
    "": ("0002", Decline("card_declined", DECLINED, "generic_decline")),
    "InsufficientFunds": ("9995", Decline("card_declined", "Your card has insufficient funds.", "insufficient_funds")),
    "LostCard": ("9987", Decline("card_declined", DECLINED, "lost_card")),
    "StolenCard": ("9979", Decline("card_declined", DECLINED, "stolen_card")),
    "ExpiredCard": ("0069", Decline("expired_card", "Your card has expired.", param="exp_month")),
    "IncorrectCvc": ("0127", Decline("incorrect_cvc", "Your card's security code is incorrect.", param="cvc")),
    "ProcessingError": (
        "0119",
        Decline("processing_error", "An error occurred while processing your card. Try again."),
    ),
    "Fraudulent": ("0019", Decline("card_declined", DECLINED, "fraudulent", blocked=True)),
    "VelocityLimitExceeded": (
        "6975",
        Decline("card_declined", "Your card has been charged too often in a short time.", "card_velocity_exceeded"),
    ),
}
"""What follows `chargeDeclined` in a name, with the card's last four digits."""

DECLINES_BY_CODE: Final[Mapping[str, Decline]] = {
    why.decline_code or why.code: why for _, why in DECLINES.values() if not why.blocked
}
"""What an issuer may say, by Stripe's name for it."""

GENERIC: Final = DECLINES[""][1]
BLOCKED: Final = DECLINES["Fraudulent"][1]

AUTHENTICATION_REQUIRED: Final = Decline(
    "authentication_required",
    "Your card was declined. This transaction requires authentication.",
    "authentication_required",
)


def _cards() -> dict[str, Card]:
    cards = {
        "visa": Card("visa", "4242"),
        "visa_debit": Card("visa", "5556", "debit"),
        "mastercard": Card("mastercard", "4444"),
        "mastercard_debit": Card("mastercard", "8210", "debit"),
        "mastercard_prepaid": Card("mastercard", "5100", "prepaid"),
        "amex": Card("amex", "8431", three_d_secure=ThreeDSecure.UNSUPPORTED),
        "discover": Card("discover", "1117", three_d_secure=ThreeDSecure.UNSUPPORTED),
        "diners": Card("diners", "0004", three_d_secure=ThreeDSecure.UNSUPPORTED),
        "jcb": Card("jcb", "0505", three_d_secure=ThreeDSecure.UNSUPPORTED),
        "unionpay": Card("unionpay", "0005", three_d_secure=ThreeDSecure.UNSUPPORTED),
        "bypassPending": Card("visa", "0077", bypasses_pending=True),
        "pendingRefund": Card("visa", "7726", refund=RefundCourse.PENDS),
        "refundFail": Card("visa", "5126", refund=RefundCourse.FAILS_LATER),
        "createDispute": Card("visa", "0259", complaint=Complaint("fraudulent", "10.4")),
        "createDisputeProductNotReceived": Card("visa", "2685", complaint=Complaint("product_not_received", "13.1")),
        "createDisputeInquiry": Card("visa", "1976", complaint=Complaint("fraudulent", "10.4", inquiry=True)),
        "chargeCustomerFail": Card("visa", "0341", decline=GENERIC),
        "radarBlock": Card("visa", "0019", decline=BLOCKED, risk_level="highest"),
        "riskLevelHighest": Card("visa", "4954", decline=BLOCKED, risk_level="highest"),
        "riskLevelElevated": Card("visa", "9235", risk_level="elevated"),
        "cvcCheckFail": Card("visa", "0101", cvc_check="fail"),
        "threeDSecure2Required": Card("visa", "3220", three_d_secure=ThreeDSecure.REQUIRED),
        "threeDSecureRequired": Card("visa", "3063", three_d_secure=ThreeDSecure.REQUIRED),
        "threeDSecureRequiredChargeDeclined": Card(
            "visa", "1629", three_d_secure=ThreeDSecure.REQUIRED, decline=GENERIC
        ),
        "threeDSecureOptional": Card("visa", "3055", three_d_secure=ThreeDSecure.OPTIONAL),
        "amex_threeDSecureNotSupported": Card("amex", "0005", three_d_secure=ThreeDSecure.UNSUPPORTED),
        "authenticationRequired": Card("visa", "3184", three_d_secure=ThreeDSecure.REQUIRED),
        "authenticationRequiredOnSetup": Card("visa", "3155", three_d_secure=ThreeDSecure.REQUIRED),
        "authenticationRequiredSetupForOffSession": Card(
            "visa", "0446", three_d_secure=ThreeDSecure.REQUIRED_ON_SESSION
        ),
        "authenticationRequiredChargeDeclinedInsufficientFunds": Card(
            "visa", "3178", three_d_secure=ThreeDSecure.REQUIRED, decline=DECLINES["InsufficientFunds"][1]
        ),
    }
    for suffix, (last4, decline) in DECLINES.items():
        declined = Card("visa", last4, decline=decline, risk_level="highest" if decline.blocked else "normal")
        cards[f"chargeDeclined{suffix}"] = declined
        cards[f"visa_chargeDeclined{suffix}"] = declined  # both spellings are in use
    countries = {"us": "4242", "br": "0002", "ca": "0000", "mx": "8001", "gb": "0000", "de": "0016", "fr": "0003"}
    cards |= {country: Card("visa", last4, country=country.upper()) for country, last4 in countries.items()}
    return cards


def _us_bank_accounts() -> dict[str, BankDebit]:
    endings = {
        "success": ("6789", None),
        "accountClosed": ("1113", Decline("account_closed", "The customer's bank account has been closed.")),
        "noAccount": ("1116", Decline("no_account", "The bank account could not be located.")),
        "insufficientFunds": ("2227", Decline("insufficient_funds", "The bank account has insufficient funds.")),
        "debitNotAuthorized": (
            "3335",
            Decline("debit_not_authorized", "The customer says the debit was not authorized."),
        ),
        "invalidCurrency": (
            "4440",
            Decline("invalid_currency", "The bank account cannot be debited in this currency."),
        ),
    }
    accounts = {
        f"pm_usBankAccount_{name}": BankDebit("us_bank_account", last4, "US", decline=decline)
        for name, (last4, decline) in endings.items()
    }
    disputed = Complaint("debit_not_authorized", final=True)
    return accounts | {
        "pm_usBankAccount_dispute": BankDebit("us_bank_account", "5559", "US", complaint=disputed),
        "pm_usBankAccount_processing": BankDebit("us_bank_account", "0009", "US", None),
    }


SEPA_DISPUTED: Final = {"at": "3203", "de": "3002", "fr": "2605", "ie": "5676"}
"""Last four digits of the IBANs whose holder disputes the debit as soon as it has succeeded."""

SEPA_COUNTRIES: Final = {
    "at": ("3201", "3204", "3202", "3205"),
    "be": ("7061", "7064", "7034", "7065"),
    "de": ("3000", "3003", "3001", "3004"),
    "fr": ("2606", "2609", "2607", "2600"),
    "ie": ("5678", "5671", "5679", "5672"),
}
"""Last four digits of the IBANs for success, delayed success, failure and delayed failure."""


def _sepa_accounts() -> dict[str, BankDebit]:
    bounced = Decline("debit_not_authorized", "The customer's bank refused the debit.")
    accounts: dict[str, BankDebit] = {}
    for country, (paid, paid_late, failed, failed_late) in SEPA_COUNTRIES.items():
        where = country.upper()
        late = DELAYED_DEBIT_SETTLES_SECONDS
        accounts |= {
            f"pm_sepaDebit_success_{country}": BankDebit("sepa_debit", paid, where),
            f"pm_sepaDebit_successDelayed_{country}": BankDebit("sepa_debit", paid_late, where, late),
            f"pm_sepaDebit_failed_{country}": BankDebit("sepa_debit", failed, where, decline=bounced),
            f"pm_sepaDebit_failedDelayed_{country}": BankDebit("sepa_debit", failed_late, where, late, bounced),
            f"pm_sepaDebit_insufficientFunds_{country}": BankDebit(
                "sepa_debit",
                "2227",
                where,
                decline=Decline("insufficient_funds", "The account has insufficient funds."),
            ),
        }
    disputed = Complaint("debit_not_authorized", final=True)
    return accounts | {
        f"pm_sepaDebit_disputed_{country}": BankDebit("sepa_debit", last4, country.upper(), complaint=disputed)
        for country, last4 in SEPA_DISPUTED.items()
    }


REFUSED_AT_ONCE: Final = frozenset(
    f"pm_card_{spelling}{suffix}"
    for suffix, (_, decline) in DECLINES.items()
    if not decline.blocked
    for spelling in ("chargeDeclined", "visa_chargeDeclined")
)
"""Cards that the issuer declines even when they are only to be kept for a customer; `chargeCustomerFail` is not."""

CARDS: Final[Mapping[str, Card]] = _cards()
BANK_DEBITS: Final[Mapping[str, BankDebit]] = _us_bank_accounts() | _sepa_accounts()

Behaviour = Card | BankDebit | BankTransfer

BANK_TRANSFER: Final = BankTransfer()

METHODS: Final[Mapping[str, Behaviour]] = {f"pm_card_{name}": card for name, card in CARDS.items()} | dict(BANK_DEBITS)
"""By test PaymentMethod id."""

TOKENS: Final[Mapping[str, str]] = {f"tok_{name}": f"pm_card_{name}" for name in CARDS}
"""The test PaymentMethod that each test token makes."""
