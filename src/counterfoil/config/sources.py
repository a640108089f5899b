"""How the text of `OUTBOX_SOURCES` becomes outboxes of other services. Raises ValueError, as `values` does."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from counterfoil.config import values
from counterfoil.runtime.secret import Secret

MOST_SOURCES = 20
"""Each costs a publisher two connections and a task."""

_TABLE = "outbox"
_KNOWN = ("name", "database_url", "table", "topics", "channel")
_NAME = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_IDENTIFIER = r"[a-z_][a-z0-9_]{0,62}"  # in quotes this is the name that PostgreSQL has without them, too
_TOPIC = r"[A-Za-z0-9._-]{1,245}"  # Kafka's 249, and room for .dlq
_TYPE = r"[!-~]{1,255}"
_OUR_OWN = ("outbox", "public.outbox")
_EXAMPLE = '[{"name": "shop", "database_url": "postgresql://shop-db/shop", "topics": {"OrderPlaced": "orders.placed"}}]'


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxSource:
    """Another service's outbox: where it is, and on which topic each type of its events is said.

    ``database_url`` is None for a table in our own database. ``table`` may name its schema.
    """

    name: str
    database_url: Secret | None
    table: str
    topics: Mapping[str, str]
    channel: str


def outbox_sources(text: str) -> tuple[OutboxSource, ...]:
    """Return the sources of a JSON list, in its order."""
    try:
        given = json.loads(text, object_pairs_hook=_object)
    except _Twice:
        raise ValueError("names something twice in one object") from None
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, list) or not given:
        raise ValueError(f"must be a JSON list such as {_EXAMPLE}")
    if len(given) > MOST_SOURCES:
        raise ValueError(f"names {len(given)} sources: at most {MOST_SOURCES}")
    sources = tuple(_source(one, f"number {place}:") for place, one in enumerate(given, start=1))
    if len({one.name for one in sources}) != len(sources):
        raise ValueError("gives two sources one name")
    if len({(one.database_url, one.table.removeprefix("public.")) for one in sources}) != len(sources):
        raise ValueError("names one table twice: each of its rows would have two senders")
    return sources


def written_sources(sources: Iterable[OutboxSource]) -> str:
    """Return sources as `outbox_sources` reads them, secrets and all: for a process that we start."""
    return json.dumps(
        [
            {
                "name": one.name,
                "table": one.table,
                "topics": dict(one.topics),
                "channel": one.channel,
                **({} if one.database_url is None else {"database_url": one.database_url.reveal()}),
            }
            for one in sources
        ]
    )


class _Twice(Exception):
    """Of two members of one name JSON's readers take either."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise _Twice
    return dict(pairs)


def _source(given: object, which: str) -> OutboxSource:
    if not isinstance(given, dict):
        raise ValueError(f"{which} must be an object with a name and topics")  # noqa: TRY004 - all refusals are of one kind
    if not given.keys() <= set(_KNOWN):
        raise ValueError(f"{which} has a member that is none of: {', '.join(_KNOWN)}")
    name = _text(given, "name", which, _NAME, "must be lower-case letters, digits and dashes, at most 63")
    url = _database_url(given, which)
    wanted = "must be a table's name, or a schema's and a table's: lower-case letters, digits and underscores"
    table = _text(given, "table", which, rf"(?:{_IDENTIFIER}\.)?{_IDENTIFIER}", wanted, _TABLE)
    if url is None and table in _OUR_OWN:
        raise ValueError(f"{which} needs a database_url, or another table: this one has our own facts")
    wanted = "must be the name of a channel: lower-case letters, digits and underscores"
    channel = _text(given, "channel", which, _IDENTIFIER, wanted, table.rpartition(".")[2])
    return OutboxSource(name=name, database_url=url, table=table, topics=_topics(given, which), channel=channel)


def _text(  # noqa: PLR0913, PLR0917 - what a member is, and what to say of it
    given: Mapping[str, object], member: str, which: str, shape: str, wanted: str, default: str | None = None
) -> str:
    found = given.get(member, default)
    if not isinstance(found, str) or not re.fullmatch(shape, found):
        raise ValueError(f"{which} {member} {wanted}" if member in given else f"{which} {member} is missing")
    return found


def _database_url(given: Mapping[str, object], which: str) -> Secret | None:
    if "database_url" not in given:
        return None
    found = given["database_url"]
    parse: Callable[[str], Secret] = values.database_url
    try:
        return parse(found if isinstance(found, str) and values.is_plain(found) else "")
    except ValueError as refusal:
        raise ValueError(f"{which} database_url {refusal}") from None


def _topics(given: Mapping[str, object], which: str) -> Mapping[str, str]:
    found = given.get("topics")
    if not isinstance(found, dict) or not found:
        raise ValueError(f"{which} topics must be an object of an event's type and its topic, and name at least one")
    if not all(re.fullmatch(_TYPE, one) for one in found):
        raise ValueError(f"{which} topics names a type that is no printable text without spaces")
    for topic in found.values():
        if not isinstance(topic, str) or not re.fullmatch(_TOPIC, topic) or topic in {".", ".."}:
            raise ValueError(f"{which} topics names a topic that Kafka would not: letters, digits, dots, dashes")
        if topic.endswith(".dlq"):
            raise ValueError(f"{which} topics names a topic of dead letters: these are written by themselves")
    return MappingProxyType(found)
