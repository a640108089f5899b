"""What each operation on a PaymentIntent takes, as Stripe's OpenAPI file of this version lists it."""

from collections.abc import Mapping
from typing import Any, Final

from stripe_sandbox.errors import InvalidError
from stripe_sandbox.form import Raw
from stripe_sandbox.params import (
    CREATED,
    PAGE,
    Choice,
    Email,
    Flag,
    Integer,
    Items,
    Kind,
    Metadata,
    NotCovered,
    Shape,
    Text,
    Url,
    text_of,
)
from stripe_sandbox.resources.customers import ADDRESS
from stripe_sandbox.resources.mandates import MANDATE_DATA
from stripe_sandbox.resources.payment_methods import METHOD

SHIPPING_FIELDS: Final = ("address", "carrier", "name", "phone", "tracking_number")


def copied(params: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Those parameters that become fields as they are; of shipping, what was not sent is null."""
    fields = {name: params[name] for name in names if name in params}
    if fields.get("shipping") is not None:
        fields["shipping"] = {**dict.fromkeys(SHIPPING_FIELDS), **fields["shipping"]}
    return fields


class OffSession:
    """`true`, `false`, or on creation one of two words that mean true."""

    __slots__ = ()

    def read(self, raw: Raw, name: str) -> bool:
        """Whether the customer is away."""
        value = text_of(raw, name).lower()
        if value not in {"true", "false", "one_off", "recurring"}:
            raise InvalidError("Invalid off_session: must be one of true, false, one_off, or recurring", name)
        return value != "false"


METHOD_TYPES: Final = ("card", "customer_balance", "sepa_debit", "us_bank_account")
CAPTURE_METHODS: Final = ("automatic", "automatic_async", "manual")
FUTURE_USAGE: Final = Choice(("off_session", "on_session"), unset=True)

_OPTIONS: Final = Shape(
    {
        "card": Shape(
            {
                "capture_method": NotCovered(),
                "network": Text(),
                "request_three_d_secure": Choice(("any", "automatic", "challenge")),
                "setup_future_usage": NotCovered(),
                "statement_descriptor_suffix_kana": NotCovered(),
                "statement_descriptor_suffix_kanji": NotCovered(),
            },
            unset=True,
        ),
        "customer_balance": Shape(
            {
                "bank_transfer": Shape(
                    {
                        "type": Choice(("eu_bank_transfer", "gb_bank_transfer", "us_bank_transfer")),
                        "eu_bank_transfer": Shape(
                            {"country": Choice(("BE", "DE", "ES", "FR", "IE", "NL"))}, ("country",)
                        ),
                        "requested_address_types": NotCovered(),
                    },
                    ("type",),
                ),
                "funding_type": Choice(("bank_transfer",)),
                "setup_future_usage": Choice(("none",)),
            },
            unset=True,
        ),
        "sepa_debit": Shape({"mandate_options": NotCovered(), "setup_future_usage": NotCovered()}, unset=True),
        "us_bank_account": Shape(
            {
                "verification_method": Choice(("automatic", "instant", "microdeposits")),
                "setup_future_usage": NotCovered(),
            },
            unset=True,
        ),
    }
)

SHIPPING: Final = Shape(
    {
        "address": ADDRESS,
        "name": Text(),
        "carrier": Text(unset=True),
        "phone": Text(unset=True),
        "tracking_number": Text(unset=True),
    },
    ("address", "name"),
    unset=True,
)

_METHOD: Final[dict[str, Kind]] = {
    "payment_method": Text(),
    "payment_method_data": METHOD,
    "payment_method_options": _OPTIONS,
    "payment_method_types": Items(Choice(METHOD_TYPES)),
    "payment_method_configuration": NotCovered(),
}

_WORDS: Final[dict[str, Kind]] = {
    "description": Text(1000, unset=True),
    "metadata": Metadata(),
    "receipt_email": Email(unset=True),
    "shipping": SHIPPING,
    "statement_descriptor": Text(22, unset=True),
    "statement_descriptor_suffix": Text(22, unset=True),
    "transfer_group": Text(unset=True),
}

_MONEY: Final[dict[str, Kind]] = {
    "amount": Integer(1),
    "currency": Text(),
    "customer": Text(),
    "capture_method": Choice(CAPTURE_METHODS),
    "setup_future_usage": FUTURE_USAGE,
    "application_fee_amount": NotCovered(),
    "transfer_data": NotCovered(),
}

_CONFIRMATION: Final[dict[str, Kind]] = {
    "error_on_requires_action": Flag(),
    "mandate": Text(),
    "mandate_data": MANDATE_DATA,
    "off_session": OffSession(),
    "return_url": Url(),
    "use_stripe_sdk": Flag(),
    "confirmation_token": NotCovered(),
    "radar_options": NotCovered(),
}

CREATE: Final[dict[str, Kind]] = {
    **_METHOD,
    **_WORDS,
    **_MONEY,
    **_CONFIRMATION,
    "automatic_payment_methods": Shape(
        {"enabled": Flag(), "allow_redirects": Choice(("always", "never"))}, ("enabled",)
    ),
    "confirm": Flag(),
    "confirmation_method": Choice(("automatic", "manual")),
    "on_behalf_of": NotCovered(),
}
UPDATE: Final[dict[str, Kind]] = {**_METHOD, **_WORDS, **_MONEY}
CONFIRM: Final[dict[str, Kind]] = {
    **{name: kind for name, kind in _METHOD.items() if name != "payment_method_configuration"},
    **_CONFIRMATION,
    "capture_method": Choice(CAPTURE_METHODS),
    "client_secret": Text(),
    "receipt_email": Email(unset=True),
    "setup_future_usage": FUTURE_USAGE,
    "shipping": SHIPPING,
}
CAPTURE: Final[dict[str, Kind]] = {
    "amount_to_capture": Integer(1),
    "metadata": Metadata(),
    "application_fee_amount": NotCovered(),
    "final_capture": NotCovered(),
    "statement_descriptor": Text(22, unset=True),
    "statement_descriptor_suffix": Text(22, unset=True),
    "transfer_data": NotCovered(),
}
CANCEL: Final[dict[str, Kind]] = {
    "cancellation_reason": Choice(("abandoned", "duplicate", "fraudulent", "requested_by_customer"))
}
RETRIEVE: Final[dict[str, Kind]] = {"client_secret": Text()}
LIST: Final[dict[str, Kind]] = {**PAGE, "created": CREATED, "customer": Text()}
