"""Search: what the index knows, which is a while behind, and the query language that asks it.

Source: https://docs.stripe.com/search. Clauses `field:value`, `field>1`, `-field:value`, `metadata['key']:'value'`,
joined by AND or by OR, never by both; no parentheses; a value is a number, a quoted text, or null for "has none".
"""

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from stripe_sandbox.clock import Clock
from stripe_sandbox.errors import InvalidError
from stripe_sandbox.kept import Container, Kept
from stripe_sandbox.records import Object, Records

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

USUAL_LAG_SECONDS: Final = 30.0
"""Stripe promises less than a minute, and up to an hour in an outage."""

MOST_CLAUSES: Final = 10
"""Stripe's limit."""

LEAST_SUBSTRING: Final = 3
"""Stripe's, for `~`."""


class Field(Enum):
    """What a field holds, which decides the operators it knows."""

    NUMBER = "number"  # : > < >= <=
    WORD = "word"  # : and null
    TEXT = "text"  # : ~ and null, case aside


PAYMENT_INTENTS: Final[Mapping[str, Field]] = {
    "amount": Field.NUMBER,
    "created": Field.NUMBER,
    "currency": Field.WORD,
    "customer": Field.WORD,
    "status": Field.WORD,
}
"""Searchable fields besides metadata (https://docs.stripe.com/search#query-fields-for-paymentintents)."""

OPERATORS: Final[Mapping[Field, tuple[str, ...]]] = {
    Field.NUMBER: (":", ">", "<", ">=", "<="),
    Field.WORD: (":",),
    Field.TEXT: (":", "~"),
}

CLAUSE: Final = re.compile(
    r"""(?P<minus>-?)
        (?: metadata\[ (?P<quote>["']) (?P<key>(?:\\.|(?!(?P=quote)).)+) (?P=quote) \] | (?P<field>[a-z_.]+) )
        (?P<operator> >= | <= | [:~><] )
        (?: (?P<number>-?\d+) | (?P<null>null) | (?P<around>["']) (?P<text>(?:\\.|(?!(?P=around)).)*) (?P=around) )
        (?= \s | $ )""",
    re.VERBOSE | re.IGNORECASE,
)
JOINT: Final = re.compile(r"\s+(AND|OR)\s+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Clause:
    """One condition: `value` is a number, a text, or None for null."""

    field: str
    key: str | None
    kind: Field
    operator: str
    value: int | str | None
    negated: bool

    def meets(self, record: Object) -> bool:
        """Whether a record fulfils it."""
        found = record["metadata"].get(self.key) if self.key is not None else record[self.field]
        return self._compares(found) != self.negated

    def _compares(self, found: int | str | None) -> bool:
        if self.value is None:
            return found is None
        if found is None:
            return False
        if isinstance(found, int) and isinstance(self.value, int):
            return _COMPARISONS[self.operator](found, self.value)
        wanted, text = str(self.value).casefold(), str(found).casefold()
        return wanted in text if self.operator == "~" else wanted == text


_COMPARISONS: Final[Mapping[str, Callable[[int, int], bool]]] = {
    ":": lambda found, value: found == value,
    ">": lambda found, value: found > value,
    "<": lambda found, value: found < value,
    ">=": lambda found, value: found >= value,
    "<=": lambda found, value: found <= value,
}


@dataclass(frozen=True, slots=True)
class Query:
    """Clauses of which all, or any, must be met."""

    clauses: tuple[Clause, ...]
    any_of: bool

    def meets(self, record: Object) -> bool:
        """Whether a record is found."""
        return (any if self.any_of else all)(clause.meets(record) for clause in self.clauses)


def parsed(text: str, fields: Mapping[str, Field]) -> Query:
    """Reads a query.

    Args:
        text: as sent.
        fields: those that can be searched; metadata always can.

    Raises:
        InvalidError: it is none, or asks for what cannot be searched.
    """
    clauses: list[Clause] = []
    joints: set[str] = set()
    place, text = 0, text.strip()
    while True:
        matched = CLAUSE.match(text, place)
        if matched is None:
            raise _invalid(f"it cannot be read from character {place + 1} on")
        clauses.append(_clause(matched, fields))
        place = matched.end()
        if place == len(text):
            break
        joint = JOINT.match(text, place)
        if joint is None:
            raise _invalid(f"AND or OR is expected at character {place + 1}")
        joints.add(joint[1].upper())
        place = joint.end()
    if len(joints) > 1:
        raise _invalid("AND and OR cannot be mixed")
    if len(clauses) > MOST_CLAUSES:
        raise _invalid(f"it may have up to {MOST_CLAUSES} clauses")
    return Query(tuple(clauses), joints == {"OR"})


def _clause(matched: re.Match[str], fields: Mapping[str, Field]) -> Clause:
    name = (matched["field"] or "metadata").lower()
    if matched["field"] is not None and name not in fields:
        raise _invalid(f"there is no field {name[:40]}")
    kind = Field.TEXT if matched["field"] is None else fields[name]
    if matched["operator"] not in OPERATORS[kind]:
        raise _invalid(f"{name} knows no {matched['operator']}")
    if kind is Field.NUMBER and matched["number"] is None and not (matched["text"] or "").isdecimal():
        raise _invalid(f"{name} is compared with a number")
    if matched["null"] is not None:
        value: int | str | None = None
    elif kind is Field.NUMBER:
        value = int(matched["number"] or matched["text"])
    else:
        value = matched["number"] or _plain(matched["text"] or "")
    if matched["operator"] == "~" and len(str(value or "")) < LEAST_SUBSTRING:
        raise _invalid(f"a substring has at least {LEAST_SUBSTRING} characters")
    key = None if matched["key"] is None else _plain(matched["key"])
    return Clause(name, key, kind, matched["operator"], value, negated=bool(matched["minus"]))


def _plain(quoted: str) -> str:
    return re.sub(r"\\(.)", r"\1", quoted)


def _invalid(why: str) -> InvalidError:
    return InvalidError(f"We were unable to parse your search query: {why}.", "query")


class SearchedRecords(Records):
    """Records with an index that learns of each change only after a lag.

    Args:
        clock: whose time the lag is in.
        lag_seconds: how far the index is behind; may be changed while it runs.
    """

    __slots__ = ("_clock", "_index", "_news", "lag_seconds")

    def __init__(self, clock: Clock, lag_seconds: float) -> None:
        super().__init__()
        self.lag_seconds = lag_seconds
        self._clock = clock
        self._news: Kept[tuple[float, Object]] = Kept(list, lambda told: (told[0], told[1]))
        self._index: Kept[Object] = Kept()

    @property
    def searched(self) -> Mapping[str, Container]:
        """What the index knows and what it has yet to hear: a restart makes it no wiser."""
        return {"index": self._index, "news": self._news}

    @override
    def put(self, record: Object) -> Object:
        """As every record is put; the index hears of it later."""
        moment = self._clock.now()
        # Of several changes in one moment only the last is ever found, so one entry is enough for them.
        self._news[f"{moment} {record['id']}"] = (moment, record)
        self._learn()
        return super().put(record)

    def found(self, query: Query) -> Iterator[Object]:
        """What the index knows that meets a query, newest first, each as the index knows it."""
        self._learn()
        return (record for record in reversed(list(self._index.values())) if query.meets(record))

    def _learn(self) -> None:
        known = self._clock.now() - self.lag_seconds
        learned: list[str] = []
        for key, (moment, record) in self._news.items():
            if moment > known:
                break
            self._index[record["id"]] = record
            learned.append(key)
        for key in learned:
            del self._news[key]
