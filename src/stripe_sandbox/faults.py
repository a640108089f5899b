"""Faults as a script: which request or event meets what, how often, and how that is read and counted.

What a fault does to a request is in `api`, to an event in `account` and `deliveries`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import count
from typing import Any, Final, Literal

from stripe_sandbox.catalogue import DECLINES_BY_CODE
from stripe_sandbox.ids import Chance
from stripe_sandbox.matching import Asked, Which, fits
from stripe_sandbox.told import Reader, UnusableError, choice, flag, number, optional, read, text, whole

LONGEST_SLOW_SECONDS: Final = 600.0
"""Twenty times the patience of a patient client."""

LONGEST_LATER_SECONDS: Final = 31 * 86_400.0
"""Of the sandbox's time, which costs nothing; events are listed for 30 days."""

MOST_FAULTS: Final = 1000

UNAUTHORIZED: Final = 401
FORBIDDEN: Final = 403
EXECUTED: Final = 500
"""The one error that Stripe's own machines answer after execution began, and keep under the idempotency key."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One line of the script. Fields that its kind does not take keep their defaults.

    Attributes:
        id: names it, for removal.
        kind: one of `KINDS`.
        which: the requests it means.
        event: the types of events it means, with `*`.
        nth: it begins with the n-th that it meets.
        times: how many it strikes; none is all of them.
        probability: of striking each one, drawn with `seed`.
        seconds: how long, of real time for a request and of the sandbox's for an event.
        when: slow before or after the work.
        status: of an error.
        effect: whether an error's work is done: none, done or later.
        after_seconds: of the sandbox's time, until an effect that comes later.
        reason: of a rate limit.
        code: of a decline, as Stripe's `decline_code` or `code`.
        should_retry: the header `Stripe-Should-Retry`, where one is sent.
        reset: the connection is reset rather than closed.
        copies: further deliveries of the same event.
        behind: how many later events overtake it.
        signature: what is wrong with it.
    """

    id: str
    kind: str
    which: Which = field(default_factory=Which)
    event: str = "*"
    nth: int = 1
    times: int | None = 1
    probability: float = 1.0
    seed: int = 0
    seconds: float = 1.0
    when: Literal["before", "after"] = "before"
    status: int = EXECUTED
    effect: Literal["none", "done", "later"] = "none"
    after_seconds: float = 1.0
    reason: str = "global-rate"
    code: str = "generic_decline"
    should_retry: bool | None = None
    reset: bool = False
    copies: int = 1
    behind: int = 1
    signature: Literal["altered", "missing", "stale"] = "altered"

    @property
    def early(self) -> bool:
        """Whether it is an error that is answered before the idempotency layer, with nothing kept there."""
        return self.kind in {"rate_limit", "lock_timeout"} or (
            self.kind == "error" and self.status != EXECUTED and self.effect == "none"
        )


@dataclass(frozen=True, slots=True)
class Kind:
    """What can go wrong: its sentence for the page, and the fields it takes."""

    sentence: str
    fields: Mapping[str, Reader] = field(default_factory=dict)


_SHOULD_RETRY: Final = {"should_retry": optional(flag)}
_RESET: Final = {"reset": flag}

REQUEST_KINDS: Final[Mapping[str, Kind]] = {
    "lose_answer": Kind(
        "The work is done and its answer kept under the key, but the connection is closed without a byte of it.", _RESET
    ),
    "cut_body": Kind("The work is done; the answer's headers arrive, and half of its body.", _RESET),
    "reset": Kind("The connection is reset before anything is done, as if nobody listened."),
    "slow": Kind(
        "The request takes so many seconds longer, of real time, before or after the work. Adds up with others.",
        {"seconds": number(0, LONGEST_SLOW_SECONDS), "when": choice("before", "after")},
    ),
    "error": Kind(
        "An answer of that status. A 500 begins execution: it is kept under the key, whatever its effect; with `later` "
        "the work is done so many seconds afterwards, by the sandbox's clock, its events included. The others come "
        "from in front of the API: nothing is kept, unless the effect is done, and then the answer that was lost.",
        {
            "status": choice(UNAUTHORIZED, FORBIDDEN, EXECUTED, 502, 503, 504),
            "effect": choice("none", "done", "later"),
            "after_seconds": number(0, LONGEST_LATER_SECONDS),
            **_SHOULD_RETRY,
        },
    ),
    "decline": Kind(
        "The issuer says no to what is charged by this request, and is of its old mind with the next.",
        {"code": choice(*DECLINES_BY_CODE)},
    ),
    "key_in_use": Kind("409, as if a request with the same idempotency key were under way.", _SHOULD_RETRY),
    "rate_limit": Kind(
        "429 with `Stripe-Rate-Limited-Reason`, before the idempotency layer.",
        {
            "reason": choice(
                "global-rate", "global-concurrency", "endpoint-rate", "endpoint-concurrency", "resource-specific"
            ),
            **_SHOULD_RETRY,
        },
    ),
    "lock_timeout": Kind(
        "429 with the code `lock_timeout` and no reason in a header, before the idempotency layer.", _SHOULD_RETRY
    ),
}
EVENT_KINDS: Final[Mapping[str, Kind]] = {
    "event_repeated": Kind("The same event is delivered so many times more.", {"copies": whole(1, 100)}),
    "event_twice": Kind("Two Event objects are made for one change."),
    "event_reordered": Kind(
        "The event is delivered after so many later ones; after a minute of the sandbox's clock in any case.",
        {"behind": whole(1, 100)},
    ),
    "event_delayed": Kind(
        "The event is made at once and delivered so many seconds later, by the sandbox's clock.",
        {"seconds": number(0, LONGEST_LATER_SECONDS)},
    ),
    "event_undelivered": Kind("The event is made and listed, and never delivered."),
    "event_never_made": Kind("There is no event for the change at all."),
    "event_forged": Kind(
        "The first try to deliver it carries a signature that is altered, missing or an hour old; the next is right.",
        {"signature": choice("altered", "missing", "stale")},
    ),
}
KINDS: Final = {**REQUEST_KINDS, **EVENT_KINDS}

_COUNTING: Final[Mapping[str, Reader]] = {
    "nth": whole(1, 1_000_000),
    "times": optional(whole(1, 1_000_000)),
    "probability": number(0, 1),
    "seed": whole(0, 2**63 - 1),
}
WHICH: Final[Mapping[str, Reader]] = {
    "method": choice("GET", "POST", "DELETE"),
    "path": text,
    "idempotency_key": text,
}


def read_fault(identifier: str, sent: Any) -> Fault:
    """A fault as `/_sandbox/faults` takes it.

    Raises:
        UnusableError: a field is missing, unknown for this kind, or not what it should be.
    """
    kind = sent.get("fault") if isinstance(sent, dict) else None
    if not isinstance(kind, str) or kind not in KINDS:
        raise UnusableError(f"A fault says what it is in the field 'fault': one of {', '.join(KINDS)}.")
    where: Mapping[str, Reader] = WHICH if kind in REQUEST_KINDS else {"event": text}
    values = read(sent, {"fault": text, **where, **_COUNTING, **KINDS[kind].fields})
    del values["fault"]
    which = Which(**{name: values.pop(name) for name in WHICH if name in values})
    if "probability" in values:
        values.setdefault("times", None)
    fault = Fault(identifier, kind, which, **values)
    if fault.effect == "later" and fault.status != EXECUTED:
        raise UnusableError("Only a 500 has an effect that comes later.")
    if fault.effect != "none" and fault.status < EXECUTED:
        raise UnusableError("A 401 or 403 has no effect.")
    return fault


@dataclass(frozen=True, slots=True)
class Plan:
    """What one request meets: at most one fault, and slowness in seconds of real time."""

    fault: Fault | None = None
    slow_before_seconds: float = 0.0
    slow_after_seconds: float = 0.0


@dataclass(slots=True)
class _Line:
    fault: Fault
    chance: Chance
    met: int = 0
    struck: int = 0

    def meets(self) -> bool:
        """Counts one that it means; whether the fault is ready to strike it."""
        self.met += 1
        fault = self.fault
        ready = self.met >= fault.nth and (fault.times is None or self.struck < fault.times)
        # Drawn each time, so that what one line draws does not depend on what others struck.
        return self.chance.happens(fault.probability) and ready


class Script:
    """The faults in force, in the order in which they were given."""

    def __init__(self) -> None:
        self._lines: dict[str, _Line] = {}
        self._sequence = count(1)

    def add(self, sent: Sequence[Any]) -> list[dict[str, Any]]:
        """Adds faults to the end; all of them or, when one is wrong, none.

        Raises:
            UnusableError: one cannot be used; its place in the list is told.
        """
        faults = []
        for place, one in enumerate(sent):
            try:
                faults.append(read_fault(f"fault_{next(self._sequence)}", one))
            except UnusableError as error:
                raise UnusableError(f"Fault {place + 1} of {len(sent)}: {error}") from error
        if len(self._lines) + len(faults) > MOST_FAULTS:
            raise UnusableError(f"More than {MOST_FAULTS} faults are no script; remove some.")
        for fault in faults:
            self._lines[fault.id] = _Line(fault, Chance(fault.seed))
        return [_shown(self._lines[fault.id]) for fault in faults]

    def remove(self, identifier: str) -> bool:
        """Takes one out; whether there was such a one."""
        return self._lines.pop(identifier, None) is not None

    def clear(self) -> None:
        """Takes all out."""
        self._lines.clear()

    def shown(self) -> list[dict[str, Any]]:
        """The faults with how many each has met and struck, as JSON tells it."""
        return [_shown(line) for line in self._lines.values()]

    def on_request(self, asked: Asked) -> Plan:
        """What this request meets; the first fault in the script wins, and only it is used up."""
        winner: Fault | None = None
        slow = {"before": 0.0, "after": 0.0}
        for line in list(self._lines.values()):
            fault = line.fault
            if fault.kind in EVENT_KINDS or not fault.which.means(asked) or not line.meets():
                continue
            if fault.kind == "slow":
                slow[fault.when] += fault.seconds
            elif winner is None:
                winner = fault
            else:
                continue
            line.struck += 1
        return Plan(winner, slow["before"], slow["after"])

    def give_back(self, fault: Fault) -> None:
        """Says that a fault had nothing to strike after all, such as a 500 for a request that was not executed."""
        line = self._lines.get(fault.id)
        if line is not None:
            line.struck -= 1

    def on_event(self, type_: str) -> Fault | None:
        """What a new event of this type meets."""
        winner: Fault | None = None
        for line in list(self._lines.values()):
            fault = line.fault
            if fault.kind in EVENT_KINDS and fits(fault.event, type_) and line.meets() and winner is None:
                winner = fault
                line.struck += 1
        return winner


def _shown(line: _Line) -> dict[str, Any]:
    fault = line.fault
    where = asdict(fault.which) if fault.kind in REQUEST_KINDS else {"event": fault.event}
    told = {name: getattr(fault, name) for name in (*_COUNTING, *KINDS[fault.kind].fields)}
    return {"id": fault.id, "fault": fault.kind, **where, **told, "met": line.met, "struck": line.struck}
