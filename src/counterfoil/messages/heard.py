"""What a message off a topic says of itself, where its sender said anything: its name, its version, its id."""

import re
from collections.abc import Mapping
from typing import Any, Final

from counterfoil.messages.decoding import NotDecodable, decode_object
from counterfoil.messages.topics import TOPICS, Spoken, Topic

_SCHEMA: Final = re.compile(r"urn:counterfoil:(?P<name>\w+):(?P<version>[0-9.]+)", re.ASCII)
_NUMBERS: Final = re.compile(r"[0-9]{1,5}(?:\.[0-9]{1,5}){0,3}", re.ASCII)
_ID: Final = re.compile(r"[!-~]{1,255}", re.ASCII)

HEARD: Final[Mapping[str, Topic]] = {topic.name: topic for topic in TOPICS if topic.dead_letters is not None}
"""The topics that we hear, by name."""


def message_of(topic: str, ce_type: str | None) -> Spoken | None:
    """Return which message it is: the one it says it is, else the topic's first; None where we know none of that name.

    A sender that writes no headers says the main thing of its topic, or its body will not fit.
    """
    known = HEARD[topic].messages
    if ce_type is None:
        return known[0]
    return next((one for one in known if one.name == ce_type), None)


def is_newer(message: Spoken, ce_dataschema: str | None, body: Mapping[str, Any]) -> bool:
    """Say whether it is of a later version than ours, by its header, else by the ``schema_version`` in its body."""
    named = _SCHEMA.fullmatch(ce_dataschema or "")
    version = named["version"] if named is not None else body.get("schema_version")
    return _numbers(version) > _numbers(message.version)


def id_of(ce_id: str | None, body: Mapping[str, Any], place: str) -> str:
    """Return what a message is known by: its id, else that of its event, else where it stands."""
    for given in (ce_id, event_id(body)):
        if given is not None and _ID.fullmatch(given):
            return given
    return place


def event_id(body: Mapping[str, Any]) -> str | None:
    """Return the id of the event that a body tells of, by any of its names; None where it has none."""
    return _text(body, "event_id", "eventId", "idempotencyKey")


def order_id(body: Mapping[str, Any]) -> str | None:
    """Return whose order a body speaks of; None where that cannot be read."""
    return _text(body, "order_id", "orderId")


def readable(value: bytes) -> Mapping[str, Any]:
    """Return what of a message can be read, be it right or not; nothing where it is no JSON object."""
    try:
        return decode_object(value)
    except NotDecodable:
        return {}


def _text(body: Mapping[str, Any], *names: str) -> str | None:
    found = next((body[name] for name in names if name in body), None)
    return found if isinstance(found, str) and _ID.fullmatch(found) else None


def _numbers(version: object) -> tuple[int, ...]:
    if not isinstance(version, str) or not _NUMBERS.fullmatch(version):
        return ()  # what is no version of ours is not newer
    return tuple(int(part) for part in version.split("."))
