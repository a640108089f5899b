"""Identifiers as RFC 9562 lays them out."""

from datetime import timedelta

from tests import told

from counterfoil.runtime.clock import SystemClock
from counterfoil.runtime.ids import TimeOrderedIds, secret_text


def test_an_id_is_a_uuid_of_version_7(ids: TimeOrderedIds, clock: told.Clock) -> None:
    """Version and variant are where they belong, and the first 48 bits are milliseconds."""
    made = ids.new()
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert int(clock.now().timestamp() * 1000) == made.int >> 80


def test_ids_of_later_milliseconds_sort_later(ids: TimeOrderedIds, clock: told.Clock) -> None:
    """That is what keeps rows that are made together close together."""
    made = []
    for _ in range(50):
        made.append(ids.new())
        clock.advance(timedelta(milliseconds=1))
    assert sorted(made) == made


def test_ids_of_one_millisecond_differ() -> None:
    """74 random bits: ten thousand at once do not meet."""
    ids = TimeOrderedIds(SystemClock())
    assert len({ids.new() for _ in range(10_000)}) == 10_000


def test_secrets_differ_and_say_what_they_are() -> None:
    """The prefix is what scanners look for; the rest is 256 bits."""
    first, second = secret_text("cft_"), secret_text("cft_")
    assert first != second
    assert (first.startswith("cft_"), len(first)) == (True, 47)
