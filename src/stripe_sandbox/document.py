"""What the code knows of its README: `python -m stripe_sandbox.document src/stripe_sandbox/README.md` renews it."""

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from stripe_sandbox.card_numbers import NUMBERS
from stripe_sandbox.catalogue import BANK_DEBITS, CARDS
from stripe_sandbox.faults import EVENT_KINDS, REQUEST_KINDS, Kind
from stripe_sandbox.trigger import RECIPES

PART: Final = re.compile(r"(?<=<!-- part: )(?P<name>\w+)(?P<end> -->\n)(?P<text>.*?)(?=<!-- end -->)", re.DOTALL)


def _kinds(kinds: Mapping[str, Kind]) -> str:
    rows = [
        f"| `{name}` | {', '.join(f'`{field}`' for field in kind.fields)} | {kind.sentence} |\n"
        for name, kind in kinds.items()
    ]
    return "| fault | fields of its own | |\n|---|---|---|\n" + "".join(rows)


def _methods() -> str:
    cards = ", ".join(f"`{name}`" for name in sorted(CARDS))
    debits = ", ".join(f"`{name}`" for name in sorted(BANK_DEBITS))
    return f"After `pm_card_` and `tok_`: {cards}.\n\nWhole: {debits}.\n"


def _numbers() -> str:
    rows = [f"| {number} | `pm_card_{name}` |\n" for number, name in NUMBERS.items()]
    return "| number | the same card as |\n|---|---|\n" + "".join(rows)


PARTS: Final[Mapping[str, Callable[[], str]]] = {
    "request_faults": lambda: _kinds(REQUEST_KINDS),
    "event_faults": lambda: _kinds(EVENT_KINDS),
    "triggers": lambda: f"{', '.join(f'`{type_}`' for type_ in RECIPES)}.\n",
    "methods": _methods,
    "numbers": _numbers,
}


def documented(page: str) -> str:
    """The page with each of its parts as the code is now.

    Raises:
        KeyError: the page asks for a part that there is not.
    """
    return PART.sub(lambda part: f"{part['name']}{part['end']}{PARTS[part['name']]()}", page)


if __name__ == "__main__":
    file = Path(sys.argv[1])
    file.write_text(documented(file.read_text()))
