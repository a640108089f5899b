"""How bytes from outside become values: one strict JSON decoder for everything we read.

Two readers of one text must not be able to see two things in it, for then what was checked is not what is worked on.
So what JSON leaves open is closed here: keys come once, numbers are finite and of sane length, text is well-formed
Unicode, and nothing stands before or after the one object.
"""

import json
from collections.abc import Iterator
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, NoReturn, TypeAlias, TypeVar

from pydantic import BaseModel, ValidationError

from counterfoil.domain.errors import InvalidRequest
from counterfoil.messages.card_numbers import refuse_card_data
from counterfoil.messages.field_paths import field_path

JSON: TypeAlias = "bool | int | Decimal | str | list[JSON] | dict[str, JSON] | None"
"""A decoded value. A number with a fraction or an exponent is a Decimal, exact to its last digit."""

ModelT = TypeVar("ModelT", bound=BaseModel)

MAX_DEPTH: Final = 64
"""Objects and lists within one another. Stripe's events stay below 10; every level is a recursion for someone."""

MAX_NUMBER_CHARACTERS: Final = 40
"""More than any amount, id or time needs; turning digits into a number costs the square of their count."""

MAX_EXPONENT: Final = 40
"""Ten to this power: a number of six characters must not become one of a million digits when rounded to an integer."""

MAX_EXACT_DIGITS: Final = 15
"""As many as survive a passage through a binary double, which pydantic takes a number with a fraction through."""

# The names under which JavaScript keeps an object's ancestry: a consumer that merges objects would be taken over.
_ANCESTRY: Final = frozenset({"__proto__", "constructor", "prototype"})

_BOM: Final = b"\xef\xbb\xbf"
_NUL: Final = "\x00"


class DecodingReason(StrEnum):
    """What is wrong with bytes that are not one unambiguous JSON object."""

    EMPTY = "empty"
    ENCODING = "encoding"
    BOM = "bom"
    MALFORMED = "malformed"
    NOT_AN_OBJECT = "not_an_object"
    DUPLICATE_KEY = "duplicate_key"
    NUMBER = "number"
    SURROGATE = "surrogate"
    NUL = "nul"
    DEPTH = "depth"


_SENTENCES: Final = {
    DecodingReason.EMPTY: "is empty",
    DecodingReason.ENCODING: "is not UTF-8",
    DecodingReason.BOM: "begins with a byte order mark",
    DecodingReason.MALFORMED: "is not JSON",
    DecodingReason.NOT_AN_OBJECT: "is not a JSON object",
    DecodingReason.DUPLICATE_KEY: "has a key twice in one object",
    DecodingReason.NUMBER: "has a number that is not finite or far too long",
    DecodingReason.SURROGATE: "has half a surrogate pair in a string",
    DecodingReason.NUL: "has a NUL in a string",
    DecodingReason.DEPTH: f"is nested deeper than {MAX_DEPTH} levels",
}


class NotDecodable(InvalidRequest):
    """The bytes are not one unambiguous JSON object; `reason` says what is wrong. `field` is None: it is all of it."""

    reason: DecodingReason

    def __init__(self, reason: DecodingReason) -> None:
        super().__init__(None, _SENTENCES[reason])
        self.reason = reason


def decode_object(raw: bytes, *, keep_nul: bool = False) -> dict[str, JSON]:
    r"""Decode the bytes of one JSON object.

    With `keep_nul` an escaped `\u0000` in a string passes. That is for webhook bodies only: they are kept as bytes,
    and to refuse one that Stripe signed makes it come again. Whoever copies text out of one minds the NUL.

    Raises NotDecodable, in bounded time and memory, for whatever is not one unambiguous object.
    """
    if raw.startswith(_BOM):
        raise NotDecodable(DecodingReason.BOM)
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise NotDecodable(DecodingReason.ENCODING) from None
    if not text or text.isspace():
        raise NotDecodable(DecodingReason.EMPTY)
    try:
        decoded = _DECODER.decode(text)
    except json.JSONDecodeError:
        raise NotDecodable(DecodingReason.MALFORMED) from None
    except RecursionError:
        raise NotDecodable(DecodingReason.DEPTH) from None
    if not isinstance(decoded, dict):
        raise NotDecodable(DecodingReason.NOT_AN_OBJECT)
    _refuse_depth(decoded, raw)
    # Only an escape can bring in either: raw surrogates are no UTF-8, and a raw NUL in a string is no JSON.
    if b"\\u" in raw:
        _refuse_bad_text(decoded, keep_nul=keep_nul)
    return decoded


def decode(raw: bytes, model: type[ModelT], *, as_message: bool = False) -> ModelT:
    """Decode a message that somebody sends us into its type, refusing rather than coercing.

    What is snake_case over HTTP and camelCase on a topic is one type: `as_message` reads it by its camelCase names.

    Beyond `decode_object`: no card data, no key named like JavaScript's ancestry of objects, no unknown field at any
    depth, and every value of exactly the type asked for (`"1999"`, `19.99`, `1999.0`, `1e3` and `true` are no integer).

    Raises InvalidRequest naming the field at fault, never what stood in it; NotDecodable, which is one; and
    CardDataNotAccepted.
    """
    decoded = decode_object(raw)
    refuse_card_data(decoded)
    _refuse_what_others_misread(decoded)
    try:
        # From the bytes, because in JSON a date or an enum can only be text, and pydantic is strict accordingly.
        names = {"by_alias": True, "by_name": False} if as_message else {}
        return model.model_validate_json(raw, strict=True, extra="forbid", **names)
    except ValidationError as error:
        # The first is enough, and the chain is cut: pydantic's own text quotes what was sent.
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise InvalidRequest(field_path(first["loc"]), _why(first["type"], first["msg"])) from None


def _object_of_unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    decoded = dict(pairs)
    if len(decoded) != len(pairs):
        raise NotDecodable(DecodingReason.DUPLICATE_KEY)
    return decoded


def _integer(digits: str) -> int:
    if len(digits) > MAX_NUMBER_CHARACTERS:
        raise NotDecodable(DecodingReason.NUMBER)
    return int(digits)


def _fraction(text: str) -> Decimal:
    if len(text) > MAX_NUMBER_CHARACTERS:
        raise NotDecodable(DecodingReason.NUMBER)
    number = Decimal(text)
    if abs(number.adjusted()) > MAX_EXPONENT:
        raise NotDecodable(DecodingReason.NUMBER)
    return number


def _not_a_number(_name: str) -> NoReturn:
    raise NotDecodable(DecodingReason.NUMBER)


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object_of_unique_keys,
    parse_int=_integer,
    parse_float=_fraction,
    parse_constant=_not_a_number,
)


def _refuse_depth(decoded: dict[str, JSON], raw: bytes) -> None:
    """Go down level by level, and only where there are brackets enough to be too deep."""
    if raw.count(b"{") + raw.count(b"[") <= MAX_DEPTH:
        return
    level: list[JSON] = [decoded]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in _children(node) if isinstance(child, (dict, list))]
        if not level:
            return
    raise NotDecodable(DecodingReason.DEPTH)


def _children(node: JSON) -> Iterator[JSON]:
    if isinstance(node, dict):
        yield from node.values()
    elif isinstance(node, list):
        yield from node


def _nodes(decoded: JSON) -> Iterator[JSON]:
    """Every value at any depth, the outermost first."""
    waiting = [decoded]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(_children(node))


def _refuse_bad_text(decoded: JSON, *, keep_nul: bool) -> None:
    for node in _nodes(decoded):
        for text in node if isinstance(node, dict) else [node]:
            if isinstance(text, str):
                _refuse_bad_string(text, keep_nul=keep_nul)


def _refuse_bad_string(text: str, *, keep_nul: bool) -> None:
    if not keep_nul and _NUL in text:
        raise NotDecodable(DecodingReason.NUL)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise NotDecodable(DecodingReason.SURROGATE) from None


def _refuse_what_others_misread(decoded: JSON) -> None:
    for node in _nodes(decoded):
        if isinstance(node, dict) and not _ANCESTRY.isdisjoint(node):
            raise InvalidRequest(None, "has a key that no message may have: __proto__, constructor or prototype")
        if isinstance(node, Decimal) and len(node.as_tuple().digits) > MAX_EXACT_DIGITS:
            raise InvalidRequest(None, f"has a number of more than {MAX_EXACT_DIGITS} digits with a fraction")


def _why(kind: str, message: str) -> str:
    if kind == "missing":
        return "is required"
    if kind == "extra_forbidden":
        return "is not a field of this message"
    return message.replace("Input should be", "must be").replace("String should", "must").replace("Value error, ", "")
