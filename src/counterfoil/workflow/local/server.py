"""moto's server, mended where moto 5.2.5 is not like AWS in something that the machine or the worker depends on.

- The cause that a task fails with reaches the machine. moto reads it and lets it fall, and the worker says there what
  was declined, and why.
- Heartbeats that stay away have their own name, States.HeartbeatTimeout. moto calls them States.Timeout, so that no
  machine could tell a worker that is gone from a payment that takes long.
- Each Retry brings a new token. moto sends the same one again.
- A token that was used, or whose time is over, is refused as TaskTimedOut. moto takes it for as long as the execution
  runs, so that an answer sent twice would never be noticed.
"""

import sys
from typing import Any

from moto import server
from moto.core.exceptions import AWSError
from moto.core.responses import ActionResult, EmptyResult
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEvent
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import StatesErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import StatesErrorNameType
from moto.stepfunctions.parser.asl.component.common.retry.retry_outcome import RetryOutcome
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_callback import (
    StateTaskServiceCallback as Callback,
)
from moto.stepfunctions.parser.asl.eval.callback.callback import HeartbeatTimeoutError
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.responses import StepFunctionResponse

_by_moto: Any = {
    name: getattr(Callback, name) for name in ("_from_error", "_handle_retry", "_eval_integration_pattern")
}


class TaskTimedOut(AWSError):
    """A token is over; in AWS's words for it."""

    TYPE = "TaskTimedOut"
    STATUS = 400


def fail_with_cause(self: StepFunctionResponse) -> ActionResult:
    """Carry out SendTaskFailure with all that it was sent."""
    backend: Any = self.stepfunction_backend  # the one that carries machines out takes a cause, its base does not
    backend.send_task_failure(
        self._get_param("taskToken"), error=self._get_param("error"), cause=self._get_param("cause")
    )
    return EmptyResult()


def name_failure(self: Callback, env: Environment, ex: Exception) -> FailureEvent:
    """Return what the history and the machine are told of a task that ended so; its token is over."""
    _close(env)
    said: FailureEvent = _by_moto["_from_error"](self, env, ex)
    if not isinstance(ex, HeartbeatTimeoutError):
        return said
    name = StatesErrorName(typ=StatesErrorNameType.StatesHeartbeatTimeout)
    details: Any = said.event_details
    details["taskTimedOutEventDetails"]["error"] = name.error_name
    return FailureEvent(env=env, error_name=name, event_type=said.event_type, event_details=details)


def retry_with_new_token(self: Callback, env: Environment, failure_event: FailureEvent) -> RetryOutcome:
    """Return whether the task is tried again, which is another task to whoever answers it."""
    outcome: RetryOutcome = _by_moto["_handle_retry"](self, env, failure_event)
    if outcome is RetryOutcome.CanRetry and "Task" in env.states.context_object.context_object_data:
        env.callback_pool_manager.add(env.states.context_object.update_task_token())
    return outcome


def wait_and_close(self: Callback, env: Environment, **parts: Any) -> None:
    """Wait for the answer; with it the token is over."""
    _by_moto["_eval_integration_pattern"](self, env=env, **parts)
    _close(env)


def _close(env: Environment) -> None:
    task: Any = env.states.context_object.context_object_data.get("Task")
    endpoint = env.callback_pool_manager.get(task["Token"]) if task else None
    if endpoint is not None:
        closed: Any = endpoint
        closed.notify = closed.notify_heartbeat = _refuse


def _refuse(**_: object) -> None:
    raise TaskTimedOut("Task Timed Out: 'Provided task does not exist anymore'")


def mend() -> None:
    """Put what is here in the place of moto's own."""
    responses: Any = StepFunctionResponse
    responses.send_task_failure = fail_with_cause
    mended = {
        "_from_error": name_failure,
        "_handle_retry": retry_with_new_token,
        "_eval_integration_pattern": wait_and_close,
    }
    for name, ours in mended.items():
        setattr(Callback, name, ours)


if __name__ == "__main__":
    mend()
    server.main(sys.argv[1:])
