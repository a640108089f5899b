"""What is written on a dead letter."""

import pytest

from counterfoil.bus.dead_letters import as_it_came, dead_letter
from counterfoil.bus.message import Dead, Incoming

CAME = (("ce_id", b"event-1"), ("traceparent", b"00-1-2-03"))


def incoming(value: bytes, headers: tuple[tuple[str, bytes], ...] = CAME) -> Incoming:
    return Incoming("orders.placed", 2, 17, b"order-1", value, headers)


def test_a_dead_letter_says_why_and_from_where() -> None:
    """Key, value and headers as they came, and behind them reason, error, origin and the number of tries."""
    letter = dead_letter(incoming(b"{"), Dead("invalid-request", "the request is not JSON"), 3)
    assert (letter.topic, letter.key, letter.value) == ("orders.placed.dlq", b"order-1", b"{")
    assert letter.headers == (
        *CAME,
        ("dlq_reason", b"invalid-request"),
        ("dlq_error", b"the request is not JSON"),
        ("dlq_topic", b"orders.placed"),
        ("dlq_partition", b"2"),
        ("dlq_offset", b"17"),
        ("dlq_attempts", b"3"),
    )
    assert as_it_came(letter.headers) == CAME


def test_what_died_twice_says_so_once() -> None:
    """A letter that was replayed and failed again has one reason: the latest."""
    first = dead_letter(incoming(b"{}"), Dead("tries", "answered 500"), 8)
    again = dead_letter(incoming(b"{}", first.headers), Dead("invalid-request", "order_id is required"), 1)
    assert [value for name, value in again.headers if name == "dlq_reason"] == [b"invalid-request"]


@pytest.mark.parametrize(
    "value", [b'{"note": "4242 4242 4242 4242"}', b'{"cvc": "123"}', b"4242424242424242, and no JSON"]
)
def test_card_data_is_not_carried_on(value: bytes) -> None:
    """A message with card data leaves its value where it is; the letter says so, and where that was."""
    letter = dead_letter(incoming(value), Dead("card-data-not-accepted", "card data is never accepted here"), 1)
    assert letter.value is None
    assert letter.headers[-1] == ("dlq_value", b"withheld")
    assert dict(letter.headers)["dlq_offset"] == b"17"
