import json
import sys
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from counterfoil.domain.errors import CardDataNotAccepted, InvalidRequest
from counterfoil.messages.decoding import (
    MAX_DEPTH,
    MAX_NUMBER_CHARACTERS,
    DecodingReason,
    NotDecodable,
    decode,
    decode_object,
)
from counterfoil.messages.field_types import ExternalId, Metadata


class Capture(StrEnum):
    """One of two."""

    AUTOMATIC = "automatic"
    MANUAL = "manual"


class Item(BaseModel):
    """A line of an order."""

    sku: str
    quantity: int


class Order(BaseModel):
    """As much of an order as shows the decoder at work."""

    order_id: ExternalId
    amount: int
    rate: Decimal | None = None
    capture: Capture = Capture.AUTOMATIC
    items: list[Item] = []
    description: Annotated[str, Field(max_length=1000)] = ""
    metadata: Metadata = {}


def body(**fields: Any) -> bytes:
    return json.dumps({"order_id": "o-1", "amount": 1999} | fields).encode()


def spelled(amount: str) -> bytes:
    return b'{"order_id":"o-1","amount":%s}' % amount.encode()


def nested(levels: int) -> bytes:
    return b'{"a":' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"


def reason_of(raw: bytes, *, keep_nul: bool = False) -> DecodingReason | None:
    try:
        decode_object(raw, keep_nul=keep_nul)
    except NotDecodable as refusal:
        return refusal.reason
    return None


def refused(raw: bytes) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        decode(raw, Order)
    return caught.value


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", DecodingReason.EMPTY),  # J01
        (b" \n", DecodingReason.EMPTY),
        (b"null", DecodingReason.NOT_AN_OBJECT),  # J02
        (b"[]", DecodingReason.NOT_AN_OBJECT),
        (b'"x"', DecodingReason.NOT_AN_OBJECT),
        (b"1", DecodingReason.NOT_AN_OBJECT),
        (b'{"a":1} x', DecodingReason.MALFORMED),  # J06
        (b'{"a":1}{"a":1}', DecodingReason.MALFORMED),  # J07
        (b'{"a":1', DecodingReason.MALFORMED),
        (b"{'a':1}", DecodingReason.MALFORMED),
        (b'{"a":1,}', DecodingReason.MALFORMED),
        (b'{"a":01}', DecodingReason.MALFORMED),
        (b'{"a":+1}', DecodingReason.MALFORMED),
        (b'{"a":"\x00"}', DecodingReason.MALFORMED),
        (b'{"a":"\xff"}', DecodingReason.ENCODING),  # J09
        (b'{"a":"\xed\xa0\x80"}', DecodingReason.ENCODING),
        ('{"a":1}'.encode("utf-16"), DecodingReason.ENCODING),
        (b'\xef\xbb\xbf{"a":1}', DecodingReason.BOM),
        (rb'{"a":"\ud800"}', DecodingReason.SURROGATE),  # J10
        (rb'{"\udfff":1}', DecodingReason.SURROGATE),
        (rb'{"a":[{"b":"x\uDC00\ud800"}]}', DecodingReason.SURROGATE),
        (rb'{"a":"\u0000"}', DecodingReason.NUL),  # J11
        (rb'{"a":[{"b\u0000":1}]}', DecodingReason.NUL),
        (b'{"amount":1,"amount":2}', DecodingReason.DUPLICATE_KEY),  # J12
        (b'{"a":[{"b":{"c":1,"c":1}}]}', DecodingReason.DUPLICATE_KEY),
        (rb'{"a":1,"\u0061":2}', DecodingReason.DUPLICATE_KEY),
        (b'{"a":NaN}', DecodingReason.NUMBER),  # J13
        (b'{"a":Infinity}', DecodingReason.NUMBER),
        (b'{"a":[-Infinity]}', DecodingReason.NUMBER),
        (b'{"a":1e999}', DecodingReason.NUMBER),
        (b'{"a":1e-999999999}', DecodingReason.NUMBER),
        (nested(10_000), DecodingReason.DEPTH),  # J15
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, DecodingReason.DEPTH),
        (nested(MAX_DEPTH + 1), DecodingReason.DEPTH),
        (b'{"a":' + b"9" * 1_000_000 + b"}", DecodingReason.NUMBER),  # J17
        (b'{"a":0.' + b"9" * 1_000_000 + b"}", DecodingReason.NUMBER),
        (b'{"a":' + b"9" * (MAX_NUMBER_CHARACTERS + 1) + b"}", DecodingReason.NUMBER),
    ],
)
def test_what_is_not_one_unambiguous_object_is_refused(raw: bytes, expected: DecodingReason) -> None:
    """Each kind of ambiguity is refused for its own reason, at any depth, in keys and in values."""
    assert reason_of(raw) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b' {"a": 1}\r\n', {"a": 1}),
        (b"{}", {}),
        ('{"a":"café 🙂"}'.encode(), {"a": "café 🙂"}),
        (rb'{"a":"\ud83d\ude42 \u00e9"}', {"a": "🙂 é"}),
        (rb'{"a":"\\u0000 \\ud800"}', {"a": r"\u0000 \ud800"}),
        (b'{"a":[{"b":1},{"b":1}]}', {"a": [{"b": 1}, {"b": 1}]}),
        (b'{"a":0.1234567890123456789}', {"a": Decimal("0.1234567890123456789")}),
        (b'{"a":[true,false,null,-0,1e3]}', {"a": [True, False, None, 0, Decimal("1e3")]}),
        (b'{"__proto__":1}', {"__proto__": 1}),
    ],
)
def test_an_unambiguous_object_is_read_exactly(raw: bytes, expected: dict[str, Any]) -> None:
    """Pairs of surrogates, escaped backslashes, repeated keys of different objects and long fractions are all well."""
    assert decode_object(raw) == expected


def test_the_deepest_object_allowed_is_read() -> None:
    """The limit is inclusive, and brackets inside strings do not count."""
    assert reason_of(nested(MAX_DEPTH)) is None
    assert reason_of(json.dumps({"a": "[" * 10_000}).encode()) is None


def test_a_kept_nul_changes_nothing_else() -> None:
    """A webhook body may hold an escaped NUL; half a surrogate pair in it is still refused."""
    assert decode_object(rb'{"a":"x\u0000y"}', keep_nul=True) == {"a": "x\0y"}
    assert reason_of(rb'{"a":"\u0000\ud800"}', keep_nul=True) == DecodingReason.SURROGATE


def test_a_message_becomes_its_type() -> None:
    """Dates, enums and decimals are text or numbers in JSON, and arrive as what they are."""
    raw = body(capture="manual", rate=19.99, items=[{"sku": "s", "quantity": 2}], metadata={"k": "v"})
    assert decode(raw, Order) == Order(
        order_id="o-1",
        amount=1999,
        rate=Decimal("19.99"),
        capture=Capture.MANUAL,
        items=[Item(sku="s", quantity=2)],
        metadata={"k": "v"},
    )


@pytest.mark.parametrize("amount", ['"1999"', "19.99", "1999.0", "1e3", "true", "null", "[1999]", "{}"])
def test_only_an_integer_is_an_integer(amount: str) -> None:
    """A03 to A07: nothing is coerced, however close it comes."""
    assert (refused(spelled(amount)).field, refused(spelled(amount)).why) == ("amount", "must be a valid integer")


def test_a_number_far_too_long_is_refused() -> None:
    """A18: ten to the hundredth is no amount, whatever a column could hold."""
    assert refused(spelled("1" + "0" * 100)).field is None


def test_a_fraction_that_a_double_would_change_is_refused() -> None:
    """A Decimal field is filled by way of a binary double, which keeps 15 digits and quietly changes the sixteenth."""
    assert decode(b'{"order_id":"o","amount":1,"rate":1234567890123.45}', Order).rate == Decimal("1234567890123.45")
    assert refused(b'{"order_id":"o","amount":1,"rate":12345678901234.567}').field is None


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (b'{"amount":1999}', "order_id"),
        (b'{"order_id":"o-1"}', "amount"),
        (body(livemode=False), "livemode"),  # J20
        (body(items=[{"sku": "s", "quantity": 1, "price": 1}]), "items.0.price"),
        (body(items=[{"sku": "s"}]), "items.0.quantity"),
        (body(capture="later"), "capture"),
        (body(description="x" * 5000), "description"),  # J27
        (body(order_id="x" * 256), "order_id"),
        (body(order_id="a b"), "order_id"),
        (body(order_id="o\n"), "order_id"),
        (body(order_id="ő"), "order_id"),
        (body(metadata={f"k{n}": "v" for n in range(51)}), "metadata"),  # J22
        (body(metadata={"v": "x" * 501}), "metadata.v"),  # J23
        (body(metadata={"v": {"a": 1}}), "metadata.v"),  # J24
        (body(metadata={"v": 1}), "metadata.v"),
    ],
)
def test_a_refusal_names_the_field_at_fault(raw: bytes, field: str) -> None:
    """The path leads through objects and lists to the place where the fault is."""
    assert refused(raw).field == field


@pytest.mark.parametrize("key", ["k" * 41, "a[b]", ""])
def test_a_metadata_key_that_stripe_would_refuse_is_refused(key: str) -> None:
    """J23: at most 40 characters, no square brackets, not empty."""
    assert (refused(body(metadata={key: "v"})).field or "").startswith("metadata.")


@pytest.mark.parametrize("key", ["__proto__", "constructor", "prototype"])
def test_a_key_named_like_an_objects_ancestry_is_refused(key: str) -> None:
    """J21: refused in messages to us at any depth, though a webhook may carry it."""
    assert refused(body(metadata={key: "v"})).field is None
    assert reason_of(body(metadata={key: "v"})) is None


def test_markup_is_only_text() -> None:
    """J29: it is accepted as it stands; who shows it escapes it."""
    assert decode(body(description="<script>"), Order).description == "<script>"


@pytest.mark.parametrize(
    "raw",
    [
        body(amount="sk_live_51abc"),
        body(sk_live_51abc=1),
        body(capture="sk_live_51abc"),
        body(metadata={"sk_live_51abc": 1}),
        body(items=[{"sku": "s", "quantity": "sk_live_51abc"}]),
        body(description="sk_live_51abc" * 100),
        body(order_id="sk_live_51abc "),
        body(amount="sk_live_51abc")[:-1],
    ],
)
def test_a_refusal_never_repeats_what_was_sent(raw: bytes) -> None:
    """Neither the sentence, nor the field, nor the chain of causes holds a value or a made-up key."""
    error = refused(raw)
    assert "sk_live" not in f"{error!r} {error.field} {error.why}"
    assert error.__cause__ is None
    assert error.__suppress_context__


def test_card_data_is_refused_before_anything_else_is_said_of_the_message() -> None:
    """J25, J26: where card data was sent, that is the answer, whatever else is wrong with the message."""
    with pytest.raises(CardDataNotAccepted) as caught:
        decode(b'{"amount":"1","metadata":{"note":"4242 4242 4242 4242"}}', Order)
    assert caught.value.field == "metadata.note"


def test_depth_is_refused_even_where_the_interpreter_would_go_deeper() -> None:
    """The limit is ours: it holds although the interpreter's own recursion limit was raised."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    try:
        assert reason_of(nested(5_000)) == DecodingReason.DEPTH
    finally:
        sys.setrecursionlimit(before)


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(texts, json_values, max_size=5))
def test_whatever_is_written_properly_is_read_back(value: dict[str, Any]) -> None:
    """Every object of ordinary values passes unchanged, escaped or not."""
    assert decode_object(json.dumps(value).encode()) == value
    assert decode_object(json.dumps(value, ensure_ascii=False).encode()) == value


@given(st.binary(max_size=60))
def test_no_bytes_make_it_fail_in_another_way(raw: bytes) -> None:
    """Any bytes at all are decoded or refused; nothing else is raised."""
    for candidate in (raw, b"{" + raw + b"}", b'{"a":"' + raw + b'"}'):
        assert reason_of(candidate) in {None, *DecodingReason}
