"""Who answers the machine's messages in a test of the machine alone: it reads the queue and says what it is told to."""

import contextlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.aws import Aws, Execution, Queue

from counterfoil.workflow import machine

PAYMENT_ID = "0198c0de-0000-7000-8000-000000000001"

QUICK = {"payment_seconds": 20, "heartbeat_seconds": 10, "effect_seconds": 15, "retry_seconds": 1}
"""Time enough for a slow machine, and no test waits for the end of it."""


def given(**changes: Any) -> dict[str, Any]:
    """Return an input of the machine; what is None is left out."""
    whole = {
        "event_id": "event-1",
        "order_id": "order-1",
        "amount": 1999,
        "currency": "EUR",
        "timeouts": QUICK,
        **changes,
    }
    return {name: value for name, value in whole.items() if value is not None}


def paid(status: str = "succeeded", attempt: int = 1) -> dict[str, Any]:
    """Return what the worker answers of a payment with a known end."""
    about = {"payment_id": PAYMENT_ID, "order_id": "order-1", "amount": 1999, "currency": "EUR"}
    return {**about, "status": status, "attempt": attempt}


def declined(*, retry_allowed: bool, attempt: int = 1) -> dict[str, Any]:
    """Return what the worker says of a decline."""
    return {
        "payment_id": PAYMENT_ID,
        "order_id": "order-1",
        "status": "processing" if retry_allowed else "failed",
        "reason": "INSUFFICIENT_FUNDS",
        "decline_code": "insufficient_funds",
        "can_retry": True,
        "retry_allowed": retry_allowed,
        "attempt": attempt,
        "max_attempts": 3,
    }


@dataclass(slots=True)
class Peer:
    """The machine deployed on a queue of its own, and the answers."""

    aws: Aws
    name: str
    queue: Queue = field(init=False)
    machine: str = field(init=False)

    def __post_init__(self) -> None:
        self.queue = Queue.made(self.aws, self.name)
        self.machine = self.aws.machine(self.name, json.loads(machine.rendered(self.queue.url)))

    def start(self, text: object) -> Execution:
        """Start an execution with this input."""
        return self.aws.execution(self.machine, "one", text)

    def asked(self, step: str) -> dict[str, Any]:
        """Return the next message, which must be of this step."""
        message = self.queue.taken()
        assert message["step"] == step, message["step"]
        return message

    def succeed(self, message: Mapping[str, Any], output: Mapping[str, Any]) -> None:
        """Answer a message with a success."""
        self.aws.step_functions.send_task_success(taskToken=message["task_token"], output=json.dumps(output))

    def fail(self, message: Mapping[str, Any], error: str, cause: Mapping[str, Any]) -> None:
        """Answer a message with a failure."""
        self.aws.step_functions.send_task_failure(taskToken=message["task_token"], error=error, cause=json.dumps(cause))

    def beat(self, message: Mapping[str, Any]) -> None:
        """Say that a message is still worked on, and give it some time; a token that is gone is nobody's."""
        gone = self.aws.step_functions.exceptions
        with contextlib.suppress(gone.TaskTimedOut, gone.TaskDoesNotExist, gone.InvalidToken):
            self.aws.step_functions.send_task_heartbeat(taskToken=message["task_token"])
        time.sleep(0.2)

    def see_to_effects(self, *, parked: str = "") -> dict[str, dict[str, Any]]:
        """Answer the three messages that follow from a success, in whatever order they come; return them by step."""
        asked: dict[str, dict[str, Any]] = {}
        for _ in range(3):
            message = self.queue.taken()
            step = message["step"]
            asked[step] = message
            if step == parked:
                self.fail(message, "EffectParked", {"step": step, "reason": "no mail server takes it"})
            else:
                self.succeed(message, done(step))
        return asked


def done(step: str) -> dict[str, Any]:
    """Return what the worker answers of an effect."""
    return {"payment_id": PAYMENT_ID, "step": step, "state": "done", "reason": None}
