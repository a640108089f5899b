"""moto's server, with one thing mended: the cause that a task fails with reaches the machine, as it does at AWS.

moto 5.2.5 reads it and lets it fall, so that every caught failure would have no cause; the worker says there what was
declined, and why.
"""

import sys
from typing import Any

from moto import server
from moto.core.responses import ActionResult, EmptyResult
from moto.stepfunctions.responses import StepFunctionResponse


def fail_with_cause(self: StepFunctionResponse) -> ActionResult:
    """Carry out SendTaskFailure with all that it was sent."""
    backend: Any = self.stepfunction_backend  # the one that carries machines out takes a cause, its base does not
    backend.send_task_failure(
        self._get_param("taskToken"), error=self._get_param("error"), cause=self._get_param("cause")
    )
    return EmptyResult()


if __name__ == "__main__":
    setattr(StepFunctionResponse, "send_task_failure", fail_with_cause)  # noqa: B010  mypy takes no assignment here
    server.main(sys.argv[1:])
