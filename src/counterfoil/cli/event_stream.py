"""Reading `text/event-stream`, as the WHATWG's HTML standard describes it ("Server-sent events", parsing)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StreamedEvent:
    """One dispatched event: the last id seen on the stream, its type, and its data."""

    id: str
    type: str
    data: str


def streamed_events(chunks: Iterable[bytes]) -> Iterator[StreamedEvent]:
    """Yield each event of a stream that arrives in pieces of any size.

    An event that the end of the stream cut off is dropped, as the standard asks: after a reconnect with the last id
    it comes again.
    """
    last_id, kind = "", "message"
    data: list[str] = []
    for line in _lines(chunks):
        if not line:
            if data:
                yield StreamedEvent(last_id, kind, "\n".join(data))
            kind, data = "message", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "id":
            last_id = value
        elif field == "event":
            kind = value
        elif field == "data":
            data.append(value)


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Yield complete lines; a lone carriage return, which the standard allows too, is not what our gateway sends."""
    rest = b""
    for chunk in chunks:
        *complete, rest = (rest + chunk).split(b"\n")
        for line in complete:
            yield line.removesuffix(b"\r").decode("utf-8", "replace")
