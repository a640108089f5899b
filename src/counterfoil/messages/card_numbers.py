"""Card data is never accepted: finding it in what we are sent, before it is kept or logged anywhere.

What is looked for: a field named like a security code or a card number; an object with a `number` beside an expiry;
and, in any text or number at any depth, keys included, the digits of a card.

When are digits a card? If they stand alone (no letter, digit or underscore touches them), if they begin as the numbers
of a card scheme do and have a length that scheme issues (ISO/IEC 7812; the ranges below), and if their last digit is
the check digit of the rest (Luhn). Spaces and dashes between them are allowed. So `evt_4242424242424242`, a UUID, a
telephone number behind its plus and a time in microseconds pass, and so do the 13 digits of an article number (EAN),
which has a check digit of its own; cards of 13 digits have not been issued for decades. A purely numeric order id of
16 digits that begins like a card has one chance in ten to look like one, and is then refused: no check can tell the
two apart, and a letter in front of such ids ends it.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Final

from counterfoil.domain.errors import CardDataNotAccepted
from counterfoil.messages.field_paths import field_path

SHORTEST: Final = 13
LONGEST: Final = 19
"""How many digits a card number has, in any scheme."""

MOST_GROUPS: Final = 6
"""Into how many groups a card number is ever printed: four or five, and one to spare. It bounds the work, too."""

# Punctuation may stand around and between the words, so that `card[number]`, `cardNumber` and `card-number` are one.
_SECRET_NAME = re.compile(
    r"[\W_]*(?:card[\W_]*)?(?:cv[cv]2?|security[\W_]*code)[\W_]*|[\W_]*card[\W_]*number[\W_]*", re.IGNORECASE
)
_EXPIRY_NAME = re.compile(r"exp(?:iry|iration)?(?:[\W_]*(?:date|month|year))?", re.IGNORECASE)

# The prefixes that a scheme issues under, with the lengths it issues. Discover, JCB and UnionPay have up to 19 digits.
_ISSUED = re.compile(
    r"""
      4 (?: \d{12} | \d{15} | \d{18} )                                             # Visa
    | (?: 5[1-5]\d\d | 222[1-9] | 22[3-9]\d | 2[3-6]\d\d | 27[01]\d | 2720 ) \d{12}  # Mastercard
    | 3[47] \d{13}                                                                # American Express
    | (?: 30[0-5]\d | 3095 | 3[689]\d\d ) \d{10,15}                               # Diners Club
    | (?: 352[89] | 35[3-8]\d | 6011 | 64[4-9]\d | 65\d\d | 62\d\d | 81\d\d ) \d{12,15}  # JCB, Discover, UnionPay
    | (?: 50 | 5[6-8] | 6[013-9] ) \d{11,17}                     # Maestro and the debit schemes beside it
    | 220[0-4] \d{12,15}                                         # Mir
    """,
    re.ASCII | re.VERBOSE,
)

_UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", re.ASCII | re.IGNORECASE)
_DIGITS_ALONE = re.compile(r"(?<![0-9A-Za-z_+])[0-9]+(?:[ -][0-9]+)*(?![0-9A-Za-z_])", re.ASCII)


def refuse_card_data(decoded: object) -> None:
    """Raise CardDataNotAccepted, naming the field, if a decoded JSON value holds card data at any depth."""
    waiting: list[tuple[tuple[int | str, ...], object]] = [((), decoded)]
    while waiting:
        path, node = waiting.pop()
        if isinstance(node, Mapping):
            if _names_card_data(node):
                raise CardDataNotAccepted(field_path(path))
            waiting.extend(((*path, key), child) for key, child in node.items())
        elif isinstance(node, list):
            waiting.extend(((*path, index), child) for index, child in enumerate(node))
        elif node is not None and not isinstance(node, bool) and holds_card_number(str(node)):
            raise CardDataNotAccepted(field_path(path))


def holds_card_number(text: str) -> bool:
    """Tell whether the digits of a card stand somewhere in `text`; the module says what counts as one."""
    if len(text) < SHORTEST:
        return False
    if not text.isascii():
        # Full-width and other digits, and the spaces between them, become the ASCII ones they stand for.
        text = unicodedata.normalize("NFKC", text)
    without_ids = _UUID.sub(" _ ", text)
    return any(_is_card(digits) for run in _DIGITS_ALONE.findall(without_ids) for digits in _stretches(run))


def names_card_data(node: Mapping[str, object], key: str) -> bool:
    """Tell whether card data stands under this key of an object, by its name and those beside it."""
    if _SECRET_NAME.fullmatch(key):
        return True
    return key.lower() == "number" and any(_EXPIRY_NAME.fullmatch(beside) for beside in node)


def _names_card_data(node: Mapping[str, object]) -> bool:
    return any(names_card_data(node, key) or holds_card_number(key) for key in node)


def _stretches(run: str) -> Iterator[str]:
    """Every stretch of whole groups of a run that is as long as a card number: an expiry may stand right behind it."""
    groups = re.split("[ -]", run)
    for start in range(len(groups)):
        digits = ""
        for group in groups[start : start + MOST_GROUPS]:
            digits += group
            if len(digits) > LONGEST:
                break
            if len(digits) >= SHORTEST:
                yield digits


def _is_card(digits: str) -> bool:
    return bool(_ISSUED.fullmatch(digits)) and _has_check_digit(digits) and not _is_article_number(digits)


def _has_check_digit(digits: str) -> bool:
    """Luhn: from the right, every second digit counts double, and its own two digits are added."""
    plain = sum(int(digit) for digit in digits[-1::-2])
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (plain + doubled) % 10 == 0


def _is_article_number(digits: str) -> bool:
    """EAN-13 (GS1 General Specifications, check digit): the digits weigh one and three by turns."""
    if len(digits) != SHORTEST:
        return False
    return (sum(int(digit) for digit in digits[::2]) + 3 * sum(int(digit) for digit in digits[1::2])) % 10 == 0
