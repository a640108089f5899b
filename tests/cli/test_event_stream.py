from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from counterfoil.cli.event_stream import StreamedEvent, streamed_events

STREAM = (
    b": welcome\n\n"
    b'id: 1\nevent: PaymentRequested\ndata: {"a":\ndata: 1}\n\n'
    b"id: 2\r\ndata:x \xe2\x80\xa8 y\r\n\r\n"
    b"event: nothing\n\n"
    b"data: cut o"
)
EVENTS = [
    StreamedEvent("1", "PaymentRequested", '{"a":\n1}'),
    StreamedEvent("2", "message", "x \u2028 y"),
]


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_events_are_the_same_however_the_stream_is_cut(cuts: list[int]) -> None:
    """The pieces that the network makes of a stream don't matter; an event cut off at the end is dropped."""
    edges = [0, *sorted(cuts), len(STREAM)]
    chunks = [STREAM[start:end] for start, end in pairwise(edges)]
    assert list(streamed_events(chunks)) == EVENTS
