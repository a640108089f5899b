"""State machines that wait for a task, and the tasks they ask for."""

import itertools
from dataclasses import dataclass
from uuid import UUID

from tests.aws import Aws, Execution, Queue

from counterfoil.domain.driving import TaskStep
from counterfoil.domain.order import Order
from counterfoil.messages.task import Task
from counterfoil.runtime.secret import Secret
from counterfoil.workflow.machines import Machines
from counterfoil.workflow.sdk import Threads

NUMBERS = itertools.count(1)
HEARTBEAT_SECONDS = 45


@dataclass(frozen=True, slots=True)
class Sleeper:
    """An execution that sleeps on a task token until it is told something."""

    execution: Execution
    token: Secret

    @classmethod
    def begun(cls, aws: Aws, *, timeout_seconds: int = 60) -> "Sleeper":
        """Start one of a machine of its own, and take its token off its queue."""
        name = f"sleeper-{next(NUMBERS)}"
        queue = Queue.made(aws, name)
        task: dict[str, object] = {
            "Type": "Task",
            "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
            "Parameters": {"QueueUrl": queue.url, "MessageBody": {"task_token.$": "$$.Task.Token"}},
            "TimeoutSeconds": timeout_seconds,
            "End": True,
        }
        if timeout_seconds > HEARTBEAT_SECONDS:
            task["HeartbeatSeconds"] = HEARTBEAT_SECONDS
        machine = aws.machine(name, {"StartAt": "Sleep", "States": {"Sleep": task}})
        execution = aws.execution(machine, name, {})
        return cls(execution, Secret(queue.taken()["task_token"]))

    def asks(self, step: TaskStep, payment_id: UUID | None = None) -> Task:
        """Return the task that it waits for."""
        return task(step, self.token.reveal(), payment_id=payment_id)


def task(
    step: TaskStep,
    token: str = "token-1",  # noqa: S107 - made up for the test
    *,
    payment_id: UUID | None = None,
    order: Order | None = None,
    heartbeat_seconds: int | None = 60,
) -> Task:
    """Return a task as it is taken off the queue."""
    return Task(
        step, Secret(token), "arn:aws:states:eu-central-1:1:execution:m:e", heartbeat_seconds, order, payment_id
    )


def machines(aws: Aws) -> Machines:
    """Return the way to this Step Functions."""
    return Machines(aws.step_functions, Threads())
