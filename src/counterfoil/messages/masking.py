"""What somebody else sent, made fit to be shown to a person: card data and secrets are cut out, wherever they stand."""

import re
from collections.abc import Mapping
from typing import Any, Final

from counterfoil.messages.card_numbers import holds_card_number, names_card_data
from counterfoil.runtime.log import without_secrets

MASK: Final = "…"

_SECRET_NAME: Final = re.compile(r".*(?:secret|password)", re.IGNORECASE)
"""What stands under such a name is a secret, whatever it looks like: `client_secret`, an ephemeral key's `secret`."""

_CLIENT_SECRET: Final = re.compile(r"\b[a-z]+_\w+_secret_\w+", re.ASCII)
"""A client secret, of whatever kind of object it is, as Stripe makes them: the object's id, and `_secret_…`."""


def masked(decoded: Any) -> Any:
    """Return a decoded JSON value with card data and secrets in it masked: values, and keys that are such.

    What is left is whatever does not look like one. So it is for those who may see everything else.
    """
    if isinstance(decoded, Mapping):
        return {
            _masked_text(key): MASK if _hides(decoded, key) and value is not None else masked(value)
            for key, value in decoded.items()
        }
    if isinstance(decoded, list):
        return [masked(one) for one in decoded]
    if isinstance(decoded, str):
        return _masked_text(decoded)
    if isinstance(decoded, int | float) and not isinstance(decoded, bool) and holds_card_number(str(decoded)):
        return MASK
    return decoded


def _hides(node: Mapping[str, object], key: str) -> bool:
    return _SECRET_NAME.fullmatch(key) is not None or names_card_data(node, key)


def _masked_text(text: str) -> str:
    """Return the text without secrets; nothing of it where digits of a card stand in it, however they are written."""
    return MASK if holds_card_number(text) else without_secrets(_CLIENT_SECRET.sub(MASK, text))
