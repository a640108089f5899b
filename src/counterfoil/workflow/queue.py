"""The queue that state machines send their tasks to: letters are taken, held, deleted, or put aside with a reason."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar
from uuid import UUID

from counterfoil.domain.errors import CardDataNotAccepted, CounterfoilError, Unavailable
from counterfoil.messages.card_numbers import holds_card_number, refuse_card_data
from counterfoil.messages.decoding import NotDecodable, decode_object
from counterfoil.workflow.sdk import Threads, failure_of

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient

MOST_AT_ONCE: Final = 10
"""Messages that SQS gives at most in one answer ("ReceiveMessage")."""

POLL_SECONDS: Final = 5
"""How long an empty queue keeps us waiting. Short, for a process that is to end has 15 s, and a poll is not cut off."""

VISIBILITY_SECONDS: Final = 60
"""How long nobody else is given a message: twice what its work takes at the most, when the processor is slow to say
what a method is. One that comes again all the same is known by its token."""

ERROR_CHARACTERS: Final = 300
"""Two sentences: what is longer belongs in the documentation."""

WITHHELD: Final = "{}"
"""The body of a dead letter that held card data: that is not carried on to a second queue."""

_REFUSED: Final = ("InvalidParameterValue", "InvalidMessageContents", "MessageTooLong")
"""How SQS's names for a message that it would refuse again begin ("SendMessage", errors)."""

_Result = TypeVar("_Result")


class QueueUnavailable(Unavailable):
    """The queue does not answer, or is not fit to be used. The sentence says why; it is shown where readiness is.

    `code` is AWS's own name for why, where it gave one.
    """

    code: str | None

    def __init__(self, why: str, code: str | None = None) -> None:
        super().__init__("task queue")
        self.args = (f"the task queue cannot be used: {why}",)
        self.code = code


class CopyRefused(CounterfoilError):
    """The dead-letter queue does not take a copy of a message with its reason, now or ever: it may be too large so."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A message in hand; ``receipt`` is what it is deleted by. What is in it is not shown, for it holds a token."""

    id: str
    receipt: str = field(repr=False)
    body: str = field(repr=False)

    @property
    def payment_id(self) -> UUID | None:
        """Nobody knows before it is read."""
        return None


class TaskQueue:
    """The queue at an address."""

    def __init__(self, client: "SQSClient", url: str, threads: Threads) -> None:
        self._client, self._url, self._threads = client, url, threads
        self._dead_letters: str | None = None

    async def demand_fit(self) -> None:
        """Return if the queue is there and has a dead-letter queue.

        Raises:
            QueueUnavailable: it is not, or has none.
        """
        names: list[Any] = ["RedrivePolicy"]
        found = await self._run(lambda: self._client.get_queue_attributes(QueueUrl=self._url, AttributeNames=names))
        policy = found.get("Attributes", {}).get("RedrivePolicy")
        if policy is None:
            raise QueueUnavailable("it has no dead-letter queue (RedrivePolicy)")
        # AWS wants both in one account and region, so that they differ by name alone ("Dead-letter queues").
        name = str(json.loads(policy)["deadLetterTargetArn"]).rpartition(":")[2]
        self._dead_letters = f"{self._url.rpartition('/')[0]}/{name}"

    async def receive(self, most: int) -> list[Letter]:
        """Return up to ``most`` messages, as soon as there is one, or none after POLL_SECONDS.

        Raises:
            QueueUnavailable: it does not answer, or refuses.
        """
        answer = await self._run(
            lambda: self._client.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=min(most, MOST_AT_ONCE),
                WaitTimeSeconds=POLL_SECONDS,
                VisibilityTimeout=VISIBILITY_SECONDS,
            )
        )
        return [Letter(one["MessageId"], one["ReceiptHandle"], one["Body"]) for one in answer.get("Messages", [])]

    async def delete(self, letters: Sequence[Letter]) -> None:
        """Delete up to MOST_AT_ONCE messages whose work is on record; one that is not deleted comes again.

        Raises:
            QueueUnavailable: it does not answer, or refuses.
        """
        entries: list[Any] = [
            {"Id": str(number), "ReceiptHandle": letter.receipt} for number, letter in enumerate(letters)
        ]
        await self._run(lambda: self._client.delete_message_batch(QueueUrl=self._url, Entries=entries))

    async def hold(self, letter: Letter) -> None:
        """Keep a message from others for VISIBILITY_SECONDS from now on.

        Raises:
            QueueUnavailable: it does not answer, or refuses.
        """
        await self._run(
            lambda: self._client.change_message_visibility(
                QueueUrl=self._url, ReceiptHandle=letter.receipt, VisibilityTimeout=VISIBILITY_SECONDS
            )
        )

    async def put_aside(self, letter: Letter, reason: str, error: str) -> None:
        """Copy a message that nobody can work on to the dead-letter queue, with the reason; it is deleted apart.

        Raises:
            QueueUnavailable: it does not answer, or refuses.
            CopyRefused: it would refuse this message again.
        """
        assert self._dead_letters is not None, "nothing was received before the queue was looked at"
        url, body = self._dead_letters, WITHHELD if _holds_card_data(letter.body) else letter.body
        shown = "".join(character if character.isprintable() else "?" for character in error[:ERROR_CHARACTERS])
        told = {"reason": reason, "error": shown, "message_id": letter.id}
        attributes: dict[str, Any] = {name: {"DataType": "String", "StringValue": text} for name, text in told.items()}
        try:
            await self._run(
                lambda: self._client.send_message(QueueUrl=url, MessageBody=body, MessageAttributes=attributes)
            )
        except QueueUnavailable as why:
            if (why.code or "").startswith(_REFUSED):
                raise CopyRefused(str(why)) from None
            raise

    async def _run(self, call: Callable[[], _Result]) -> _Result:
        try:
            return await self._threads.run(call)
        except Exception as error:
            failure = failure_of(error)
            if failure is None:
                raise
            raise QueueUnavailable(failure.sentence, failure.code) from None


def _holds_card_data(body: str) -> bool:
    try:
        refuse_card_data(decode_object(body.encode(errors="replace")))
    except CardDataNotAccepted:
        return True
    except NotDecodable:
        return holds_card_number(body)
    return False
