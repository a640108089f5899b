"""Executions of the machine: started, looked at, and told as a person reads them. Task tokens are never among it.

An execution's name follows from its event id, so that a second start of the same event finds the first one.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from counterfoil.domain.errors import NotFound, Refused
from counterfoil.workflow.account import Account

_PLAIN: Final = re.compile(r"[A-Za-z0-9_-]{1,80}")
"""What the name of an execution may be made of wherever it is logged ("StartExecution", name)."""

_HASHED: Final = "sha256-"
_TOKEN: Final = "task_token"  # noqa: S105  the name of the field, and no secret
_DETAILS: Final = re.compile(r"[A-Za-z]+EventDetails")


class StartedOtherwise(Refused):
    """The event has an execution with another input: ask for that one, or take another event. It names what differs."""

    def __init__(self, differing: Sequence[str]) -> None:
        super().__init__(
            f"this event was started before, with another input ({', '.join(differing)}): "
            "say the same again, or take another --event"
        )


@dataclass(frozen=True, slots=True)
class Started:
    """An execution; `again` says that it had been started before."""

    arn: str
    name: str
    again: bool


@dataclass(frozen=True, slots=True)
class Step:
    """One event of an execution's history; `detail` is the state's name, or what went wrong, in one line."""

    id: int
    at: datetime
    type: str
    state: str | None
    detail: str | None


def name_of(event_id: str) -> str:
    """Return the name of the execution that an event id stands for."""
    if _PLAIN.fullmatch(event_id) and not event_id.startswith(_HASHED):
        return event_id
    return _HASHED + hashlib.sha256(event_id.encode()).hexdigest()


def start(account: Account, machine_arn: str, given: Mapping[str, Any]) -> Started:
    """Start the execution of an event, or find the one there is.

    Raises:
        StartedOtherwise: the event has an execution with another input.
        AwsRefused, Unavailable: as `account.opened` says.
    """
    name, text = name_of(given["event_id"]), json.dumps(given, ensure_ascii=False, separators=(",", ":"))
    client = account.step_functions
    arn = arn_of(machine_arn, name)
    found = _described(account, arn)
    if found is None:
        try:
            client.start_execution(stateMachineArn=machine_arn, name=name, input=text)
        except client.exceptions.ExecutionAlreadyExists:  # by somebody else, a moment ago
            found = _described(account, arn)
        else:
            return Started(arn, name, again=False)
    before, wanted = json.loads((found or {}).get("input", "{}")), json.loads(text)
    if before != wanted:
        before = before if isinstance(before, dict) else {}  # others may start an execution with anything
        raise StartedOtherwise(sorted(key for key in before | wanted if before.get(key) != wanted.get(key)))
    return Started(arn, name, again=True)


def arn_of(machine_arn: str, execution: str) -> str:
    """Return the ARN of an execution that is named by its ARN, its name or its event id."""
    if execution.startswith("arn:"):
        return execution
    return f"{machine_arn.replace(':stateMachine:', ':execution:', 1)}:{name_of(execution)}"


def status(account: Account, arn: str) -> dict[str, Any]:
    """Return how an execution stands: status, when, and its output, or its error and cause.

    Raises:
        NotFound: there is none.
    """
    found = _described(account, arn)
    if found is None:
        raise NotFound("execution")
    told = {name: found[name] for name in ("status", "error", "cause", "startDate", "stopDate") if found.get(name)}
    about: dict[str, Any] = {"execution": arn, "name": arn.rpartition(":")[2], "status": told["status"]}
    about["started_at"] = _moment(told["startDate"])
    about["stopped_at"] = _moment(told["stopDate"]) if "stopDate" in told else None
    about["output"] = _json(found["output"]) if found.get("output") else None
    about["error"], about["cause"] = told.get("error"), _json(told["cause"]) if "cause" in told else None
    return about


def latest(account: Account, machine_arn: str, most: int) -> list[dict[str, Any]]:
    """Return the latest executions of a machine, up to so many, the latest first.

    Raises:
        NotFound: there is no such machine.
    """
    client = account.step_functions
    try:
        found = client.list_executions(stateMachineArn=machine_arn, maxResults=most)["executions"]
    except client.exceptions.StateMachineDoesNotExist:
        raise NotFound("machine") from None
    return [
        {
            "execution": one["executionArn"],
            "name": one["executionArn"].rpartition(":")[2],
            "status": one["status"],
            "started_at": _moment(one["startDate"]),
            "stopped_at": _moment(one["stopDate"]) if one.get("stopDate") else None,
        }
        for one in found
    ]


def history(account: Account, arn: str) -> Iterator[tuple[Step, dict[str, Any]]]:
    """Yield each event of an execution, the first one first, and all that AWS says of it but for tokens.

    Raises:
        NotFound: there is no such execution.
    """
    client = account.step_functions
    states: dict[int, str | None] = {0: None}  # by an event's id; the next of its branch says which it follows
    try:
        for page in client.get_paginator("get_execution_history").paginate(executionArn=arn):
            for event in page["events"]:
                whole = without_tokens(dict(event))
                details: Mapping[str, Any] = next(
                    (value for key, value in whole.items() if _DETAILS.fullmatch(key)), {}
                )
                state = details.get("name") if "State" in event["type"] else None
                states[event["id"]] = state = state or states.get(event.get("previousEventId", 0))
                whole["timestamp"] = _moment(event["timestamp"])
                yield Step(event["id"], event["timestamp"], event["type"], state, _detail(details)), whole
    except client.exceptions.ExecutionDoesNotExist:
        raise NotFound("execution") from None


def without_tokens(value: Any) -> Any:
    """Return what AWS says with every task token taken out, also where it stands in JSON within a text.

    Whoever has a token may answer in the worker's place.
    """
    if isinstance(value, Mapping):
        return {key: "…" if key == _TOKEN else without_tokens(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_tokens(inner) for inner in value]
    if isinstance(value, str) and _TOKEN in value:
        try:
            return json.dumps(without_tokens(json.loads(value)), ensure_ascii=False)
        except ValueError:
            return "…"  # nobody knows where in it the token is
    return value


def _described(account: Account, arn: str) -> Mapping[str, Any] | None:
    client = account.step_functions
    try:
        return dict(client.describe_execution(executionArn=arn))
    except client.exceptions.ExecutionDoesNotExist:
        return None


def _detail(details: Mapping[str, Any]) -> str | None:
    if details.get("error"):
        return f"{details['error']}: {details['cause']}" if details.get("cause") else str(details["error"])
    return None


def _moment(when: datetime) -> str:
    return when.isoformat(timespec="milliseconds")


def _json(text: str) -> Any:
    """Return what a text says as JSON, or the text."""
    try:
        return json.loads(text)
    except ValueError:
        return text
