"""State machines that wait are told how their tasks ended, and that they are still worked on."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from counterfoil.domain.driving import Reception, Told
from counterfoil.messages.task_answer import Answer
from counterfoil.runtime.secret import Secret
from counterfoil.workflow.sdk import Threads, failure_of

if TYPE_CHECKING:
    from types_boto3_stepfunctions import SFNClient

DEAD: Final = {
    "TaskTimedOut": "its task has timed out",
    "InvalidToken": "its token is not valid any more",
    "TaskDoesNotExist": "its task does not exist any more",
}
"""What Step Functions says of tokens that nobody waits for ("SendTaskSuccess", errors)."""

REFUSED: Final = frozenset({"InvalidOutput", "ValidationException"})
"""What it would say again to the same words."""

LONGEST_CAUSE: Final = 32_768
"""Characters that it takes of a cause ("SendTaskFailure", cause)."""


class Machines:
    """The way to Step Functions."""

    def __init__(self, client: "SFNClient", threads: Threads) -> None:
        self._client, self._threads = client, threads

    async def answer(self, token: Secret, answer: Answer) -> Told:
        """Tell the machine that waits on a token how its task ended. To do so twice is refused as if it were dead."""
        text = answer.text()

        def call() -> object:
            if answer.error is None:
                return self._client.send_task_success(taskToken=token.reveal(), output=text)
            cause = text[:LONGEST_CAUSE]
            return self._client.send_task_failure(taskToken=token.reveal(), error=answer.error, cause=cause)

        return await self._told(call)

    async def heartbeat(self, token: Secret) -> Told:
        """Tell the machine that waits on a token that it is still worked on."""
        return await self._told(lambda: self._client.send_task_heartbeat(taskToken=token.reveal()))

    async def _told(self, call: Callable[[], object]) -> Told:
        try:
            await self._threads.run(call)
        except Exception as error:
            failure = failure_of(error)
            if failure is None:
                raise
            if failure.code in DEAD:
                return Told(Reception.DEAD, DEAD[failure.code])
            return Told(Reception.REFUSED if failure.code in REFUSED else Reception.FAILED, failure.sentence)
        return Told(Reception.TAKEN)
