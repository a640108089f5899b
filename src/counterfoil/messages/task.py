"""What a state machine asks of us: a step of a payment, with the token that it waits for, as it comes off a queue."""

import json
from dataclasses import dataclass, field, replace
from typing import Annotated, Final, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from counterfoil.domain.driving import TaskStep
from counterfoil.domain.errors import (
    CardDataNotAccepted,
    CounterfoilError,
    InvalidRequest,
    MethodRefused,
    Refused,
)
from counterfoil.domain.money import LARGEST_AMOUNT
from counterfoil.domain.order import Order
from counterfoil.domain.schedule import MOST_NUMBERED
from counterfoil.messages.decoding import decode, decode_object
from counterfoil.messages.field_types import ExternalId, Metadata, WebAddress
from counterfoil.messages.order_placed import OrderPlaced, PlacedItem, PlacedMandate
from counterfoil.runtime.secret import Secret

MAX_TOKEN_CHARACTERS: Final = 2048
"""What Step Functions allows ("SendTaskSuccess", taskToken)."""

LONGEST_SECONDS: Final = 99_999_999
"""What a state of Step Functions may wait at most ("Task state fields", TimeoutSeconds)."""

_STRICT: Final = ConfigDict(extra="forbid", frozen=True)
_INPUT: Final = "input."

_Seconds = Annotated[int, Field(ge=1, le=LONGEST_SECONDS)]
_Execution = Annotated[
    str, StringConstraints(min_length=1, max_length=MAX_TOKEN_CHARACTERS, pattern=r"^[^\x00-\x1f\x7f-\x9f]+\z")
]
_Token = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TOKEN_CHARACTERS, pattern=r"^[!-~]+\z")]


class MachineCustomer(BaseModel):
    """Who pays."""

    model_config = _STRICT

    id: ExternalId | None = None
    email: Annotated[str, StringConstraints(max_length=254, pattern=r"^[^@\s]+@[^@\s]+$")] | None = None
    locale: Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")] | None = None


class MachineMethod(BaseModel):
    """What is paid with; the type is for the machine, which waits longer for some than for others."""

    model_config = _STRICT

    type: Annotated[str, StringConstraints(pattern=r"^[a-z_]{1,40}\z")] = "card"
    id: ExternalId | None = None


class MachineTimeouts(BaseModel):
    """How long the machine waits for what; its own business, but nothing else may stand here."""

    model_config = _STRICT

    payment_seconds: _Seconds | None = None
    heartbeat_seconds: _Seconds | None = None
    effect_seconds: _Seconds | None = None
    retry_seconds: _Seconds | None = None


class MachineInput(BaseModel):
    """The input of an execution: an order, in the machine's words. ``amount`` is in the currency's minor units."""

    model_config = _STRICT

    event_id: ExternalId
    order_id: ExternalId
    amount: Annotated[int, Field(ge=1, le=LARGEST_AMOUNT)]
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{3}$")]
    customer: MachineCustomer = MachineCustomer()
    payment_method: MachineMethod = MachineMethod()
    off_session: bool = False
    mandate: ExternalId | PlacedMandate | None = None
    return_url: WebAddress | None = None
    items: Annotated[tuple[PlacedItem, ...], Field(max_length=200)] = ()
    metadata: Metadata = {}
    timeouts: MachineTimeouts = MachineTimeouts()

    def order(self) -> Order:
        """Return the order it asks for, which is the one that OrderPlaced would.

        Raises:
            MethodRefused: no processor takes this kind of method yet.
        """
        if self.payment_method.type == "paypal":
            raise MethodRefused("of type paypal is not taken yet")
        return OrderPlaced(
            event_id=self.event_id,
            order_id=self.order_id,
            amount_cents=self.amount,
            currency=self.currency,
            customer_id=self.customer.id,
            customer_email=self.customer.email,
            locale=self.customer.locale,
            items=self.items,
            payment_method=self.payment_method.id,
            off_session=self.off_session,
            mandate=self.mandate,
            return_url=self.return_url,
            metadata=self.metadata,
        ).order()


class TaskMessage(BaseModel):
    """The body of a message on the queue."""

    model_config = _STRICT

    step: Literal["payment", "retry", "record", "receipt", "inventory", "notify"]
    task_token: _Token
    execution: _Execution
    timeout_seconds: _Seconds | None = None
    heartbeat_seconds: _Seconds | None = None
    payment_id: UUID | None = None
    attempt: Annotated[int, Field(ge=1, le=MOST_NUMBERED)] | None = None
    input: MachineInput | None = None

    @model_validator(mode="after")
    def _asks_for_what_its_step_is(self) -> Self:
        if self.step == "payment" and (self.input is None or self.payment_id is not None):
            raise ValueError("of step payment must have an input, and no payment_id")
        if self.step != "payment" and (self.payment_id is None or self.input is not None):
            raise ValueError("of a step behind payment must have a payment_id, and no input")
        if self.step != "retry" and self.attempt is not None:
            raise ValueError("of any step but retry must have no attempt")
        return self


@dataclass(frozen=True, slots=True)
class Task:
    """A step that a machine asks for: ``order`` is what step payment wants paid, ``payment_id`` what others mean.

    ``declined`` is the attempt upon whose decline a retry follows, where its machine says it.
    """

    step: TaskStep
    token: Secret
    execution: str
    heartbeat_seconds: int | None
    order: Order | None = field(default=None, repr=False)
    payment_id: UUID | None = None
    declined: int | None = None


class TaskRefused(CounterfoilError):
    """A task whose order is refused before it is a payment: its machine is told why. `task` has no order then."""

    def __init__(self, task: Task, why: Refused) -> None:
        super().__init__(str(why))
        self.task, self.why = task, why


def task_of(raw: bytes) -> Task:
    """Return the task that a message's body is.

    Raises:
        TaskRefused: it is one, and the order in it is none that we take.
        InvalidRequest: it is no task at all; nobody can be told by a step of a machine.
        CardDataNotAccepted: the same, and it holds card data.
    """
    try:
        message = decode(raw, TaskMessage)
    except Refused as why:
        raise _refused(raw, why) from None
    task = Task(
        TaskStep(message.step),
        Secret(message.task_token),
        message.execution,
        message.heartbeat_seconds,
        payment_id=message.payment_id,
        declined=message.attempt,
    )
    if message.input is None:
        return task
    try:
        order = message.input.order()
    except Refused as why:
        raise TaskRefused(task, why) from None
    return replace(task, order=order)


def stray_of(raw: bytes) -> Task | None:
    """Return a task for what is none, where a token can be read in it all the same, so that its machine can be told."""
    try:
        read = decode_object(raw)
    except InvalidRequest:
        return None
    token, execution = read.get("task_token"), read.get("execution")
    if not isinstance(token, str) or not 0 < len(token) <= MAX_TOKEN_CHARACTERS:
        return None
    named = isinstance(execution, str) and execution.isprintable() and len(execution) <= MAX_TOKEN_CHARACTERS
    return Task(TaskStep.PAYMENT, Secret(token), str(execution) if named else "", None)


class _Envelope(BaseModel):
    """A task whatever its input is."""

    model_config = _STRICT

    step: Literal["payment"]
    task_token: _Token
    execution: _Execution
    timeout_seconds: _Seconds | None = None
    heartbeat_seconds: _Seconds | None = None


def _refused(raw: bytes, why: Refused) -> CounterfoilError:
    """Return why a body is refused: as a task, if all is well with it but what stands in its input."""
    field = (why.field or "").removeprefix(_INPUT)
    if field == (why.field or ""):
        return why
    around = {name: value for name, value in decode_object(raw).items() if name != "input"}
    try:
        envelope = decode(json.dumps(around, default=str).encode(), _Envelope)
    except Refused:
        return why
    task = Task(TaskStep.PAYMENT, Secret(envelope.task_token), envelope.execution, envelope.heartbeat_seconds)
    within = InvalidRequest(field, why.why) if isinstance(why, InvalidRequest) else CardDataNotAccepted(field)
    return TaskRefused(task, within)
