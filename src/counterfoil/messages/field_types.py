"""Types of fields that several messages share, for pydantic models; each bound says whose it is."""

import re
from decimal import Decimal
from typing import Annotated, Final

from pydantic import BeforeValidator, Field, StringConstraints

MAX_CALLER_METADATA: Final = 46
"""Stripe keeps 50 keys on an object ("Metadata"); four are ours, by which we find our objects again."""

ExternalId = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[!-~]+\z")]
"""An id that somebody else made: printable ASCII without spaces, at most 255 characters."""

WebAddress = Annotated[str, StringConstraints(max_length=2048, pattern=r"^https?://[\x21-\x7e]+$")]
"""An http or https address, as browsers still take it."""

_PLAIN_DECIMAL: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?", re.ASCII)


def _plain(given: object) -> object:
    """Make a decimal of a JSON number, or of text that a person would write as one.

    Python would read more (`1_000`, ` 1`, digits of other alphabets), and take `true` for 1. A number with a fraction
    was short enough for a double (`decoding.MAX_EXACT_DIGITS`), whose shortest form is then what was sent.
    """
    if isinstance(given, str) and _PLAIN_DECIMAL.fullmatch(given):
        return Decimal(given)
    if isinstance(given, int | float) and not isinstance(given, bool):
        return Decimal(repr(given))
    raise ValueError("must be a plain decimal number such as 19.99")


DecimalAmount = Annotated[Decimal, BeforeValidator(_plain)]
"""An amount in whole units of its currency, as a JSON number or as text; `money.parse_decimal` makes it exact money."""

# Stripe, "Metadata": keys of at most 40 characters without square brackets, values of at most 500.
_MetadataKey = Annotated[str, StringConstraints(min_length=1, max_length=40, pattern=r"^[^\[\]]+\z")]
_MetadataValue = Annotated[str, StringConstraints(max_length=500)]

Metadata = Annotated[dict[_MetadataKey, _MetadataValue], Field(max_length=MAX_CALLER_METADATA)]
"""What a caller wants kept with a payment: text by text, flat."""
