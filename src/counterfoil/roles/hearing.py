"""What every role does with a message off a topic before its own work: whether it can be worked on, and what it is."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import structlog

from counterfoil.bus.message import Again, Dead, Done, Handler, Incoming, Outcome
from counterfoil.messages import heard, trace_context

TOMBSTONE = "tombstone"
UNKNOWN_TYPE = "unknown_type"
NO_KEY = "no_key"
NEWER = "newer_version"

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Heard:
    """A message that can be worked on.

    Attributes:
        id: what it is known by, however often it comes.
        name: which message it is.
        value: what it says, as it came.
        body: what of that can be read, be it right or not.
        place: where it stands.
        traceparent: which trace it belongs to, if it says so in good form.
    """

    id: str
    name: str
    value: bytes
    body: Mapping[str, Any]
    place: str
    traceparent: str | None = None


Work: TypeAlias = Callable[[Heard, int], Awaitable[Outcome]]
"""Works on a message that was tried so often before."""


def hearing(works: Mapping[str, Work]) -> Handler:
    """Return what works on messages by their names: a tombstone or a name that is not among these is passed over."""

    async def handle(incoming: Incoming, tries: int) -> Outcome:
        if incoming.value is None:
            return Done(TOMBSTONE)
        message = heard.message_of(incoming.topic, incoming.header("ce_type"))
        if message is None or message.name not in works:
            _log.info("consumer.unknown_type", place=incoming.place)
            return Done(UNKNOWN_TYPE)
        if not incoming.key:
            return Dead(NO_KEY, "the message has no key, and messages are in order by their keys")
        body = heard.readable(incoming.value)
        if heard.is_newer(message, incoming.header("ce_dataschema"), body):
            return Dead(NEWER, f"the message is of a later version than {message.version}, the latest known here")
        known_by = heard.id_of(incoming.header("ce_id"), body, incoming.place)
        try:
            trace = trace_context.passed_on(incoming.header(trace_context.HEADER))
            told = Heard(known_by, message.name, incoming.value, body, incoming.place, trace)
            return await works[message.name](told, tries)
        except Exception as error:  # noqa: BLE001 - the role's edge: recorded, tried again, and dead at last
            _log.exception("consumer.failed", place=incoming.place)
            return Again(type(error).__name__)

    return handle
