from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.domain.errors import CardDataNotAccepted
from counterfoil.messages.card_numbers import holds_card_number, refuse_card_data

# The numbers that the schemes and processors publish for tests; none belongs to anybody.
PUBLISHED = {
    "Visa": "4242424242424242",
    "Visa, 19 digits": "4000000000000000006",
    "Mastercard": "5555555555554444",
    "Mastercard, the newer range": "2223003122003222",
    "American Express": "378282246310005",
    "Discover": "6011111111111117",
    "Diners Club, 14 digits": "36227206271667",
    "JCB": "3566002020360505",
    "UnionPay": "6200000000000005",
    "UnionPay, 19 digits": "6205500000000000004",
    "Maestro": "6759649826438453",
}


def refusal_of(decoded: Any) -> CardDataNotAccepted | None:
    try:
        refuse_card_data(decoded)
    except CardDataNotAccepted as refusal:
        return refusal
    return None


@pytest.mark.parametrize("number", PUBLISHED.values(), ids=PUBLISHED)
def test_a_card_number_is_found_however_it_is_written(number: str) -> None:
    """Alone, in groups of four with spaces or dashes, inside a sentence, and before its expiry and code."""
    groups = [number[n : n + 4] for n in range(0, len(number), 4)]
    written = [number, " ".join(groups), "-".join(groups), f"card:{number}.", f"pay with {number}, please"]
    assert [text for text in [*written, f"{' '.join(groups)} 12/29 123"] if not holds_card_number(text)] == []


@pytest.mark.parametrize(
    "text",
    ["\uff14\uff12" * 8, "4242\u00a04242\u00a04242\u00a04242", "\u0664 4242424242424242"],
)
def test_other_scripts_do_not_hide_a_card_number(text: str) -> None:
    """Full-width digits and no-break spaces stand for the ASCII ones."""
    assert holds_card_number(text)


@pytest.mark.parametrize(
    "text",
    [
        "evt_4242424242424242",
        "4242424242424242a",
        "pi_3MtwBwLkdIwHu7ix28a3tqPa",
        "4242424242424241",  # the check digit is wrong
        "1700000000000000",  # microseconds; no scheme begins with 1
        "9999999999999995",  # no scheme begins with 9
        "42424242424242424242424242424242",  # longer than any card
        "424242424242",  # shorter than any card
        "4006381333924",  # an article number, whose last digit is right both ways
        "+4915112345611",  # a telephone number
        "42345678-4234-4002-8123-1234567890ab",  # a UUID that begins with the digits of a card
        "2026-11-21 09:56:49.123456",
        "19.99",
        "",
    ],
)
def test_what_is_not_a_card_number_passes(text: str) -> None:
    """Ids with letters, UUIDs, times, amounts, article and telephone numbers are no cards."""
    assert not holds_card_number(text)


@pytest.mark.parametrize(
    ("decoded", "field"),
    [
        ({"metadata": {"note": "4242 4242 4242 4242"}}, "metadata.note"),
        ({"items": [{"sku": "a"}, {"sku": "4242424242424242"}]}, "items.1.sku"),
        ({"amount": 4242424242424242}, "amount"),
        ({"metadata": {"4242424242424242": "x"}}, "metadata"),
        ({"cvc": "123"}, None),
        ({"payment_method": {"CVV2": None}}, "payment_method"),
        ({"card[number]": "x"}, None),
        ({"card": {"cardNumber": "x"}}, "card"),
        ({"card": {"number": "x", "exp_month": 12}}, "card"),
        ({"card": {"number": "x", "expiry": "12/29"}}, "card"),
    ],
)
def test_card_data_is_refused_wherever_it_stands(decoded: dict[str, Any], field: str | None) -> None:
    """At any depth, in values, in numbers, in keys, and by the names of fields; the field is named, not its value."""
    refusal = refusal_of(decoded)
    assert refusal is not None
    assert refusal.field == field
    assert "4242" not in str(refusal)


def test_fields_that_only_sound_alike_pass() -> None:
    """Stripe's own answers say `cvc_check`, and a number without an expiry is the number of anything."""
    assert refusal_of({"cvc_check": "pass", "order": {"number": "17"}, "expires": 3, "exp_month": 12}) is None


@given(st.uuids())
def test_no_uuid_is_a_card(value: UUID) -> None:
    """Not even one whose digits happen to be all decimal."""
    assert not holds_card_number(str(value))


@given(st.text(max_size=80))
def test_no_text_makes_it_fail(text: str) -> None:
    """Whatever text comes, the question has an answer, and a letter glued to every digit makes it no."""
    assert holds_card_number(text) in {True, False}
    assert not holds_card_number("".join(f"x{character}" for character in text))
