"""How the fields of what we hear are named."""

from typing import Final

from pydantic import ConfigDict
from pydantic.alias_generators import to_camel

TWO_NAMES: Final = ConfigDict(
    extra="forbid", frozen=True, alias_generator=to_camel, validate_by_name=True, validate_by_alias=False
)
"""For what comes both ways: snake_case over HTTP, and camelCase on a topic (`decode` with ``as_message``)."""
