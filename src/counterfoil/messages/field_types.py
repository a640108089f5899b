"""Types of fields that several messages share, for pydantic models; each bound says whose it is."""

from typing import Annotated, Final

from pydantic import Field, StringConstraints

MAX_CALLER_METADATA: Final = 46
"""Stripe keeps 50 keys on an object ("Metadata"); four are ours, by which we find our objects again."""

ExternalId = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[!-~]+\z")]
"""An id that somebody else made: printable ASCII without spaces, at most 255 characters."""

WebAddress = Annotated[str, StringConstraints(max_length=2048, pattern=r"^https?://[\x21-\x7e]+$")]
"""An http or https address, as browsers still take it."""

# Stripe, "Metadata": keys of at most 40 characters without square brackets, values of at most 500.
_MetadataKey = Annotated[str, StringConstraints(min_length=1, max_length=40, pattern=r"^[^\[\]]+\z")]
_MetadataValue = Annotated[str, StringConstraints(max_length=500)]

Metadata = Annotated[dict[_MetadataKey, _MetadataValue], Field(max_length=MAX_CALLER_METADATA)]
"""What a caller wants kept with a payment: text by text, flat."""
