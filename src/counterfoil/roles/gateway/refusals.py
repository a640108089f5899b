"""From error to HTTP: the one table."""

from counterfoil.domain.errors import (
    AmountRefused,
    CardDataNotAccepted,
    CounterfoilError,
    IdempotencyKeyReused,
    InProgress,
    InvalidRequest,
    LookUpOnly,
    MethodRefused,
    NotCleared,
    NotFound,
    NotLeft,
    NotParked,
    NotReplayable,
    OrderHasPayment,
    RateLimited,
    Refused,
    Retry,
    Unavailable,
    WrongState,
)
from counterfoil.roles.problems import FAILED_HERE, Kind, Problem

_KINDS: tuple[tuple[type[CounterfoilError], Kind], ...] = (
    (CardDataNotAccepted, Kind.CARD_DATA_NOT_ACCEPTED),
    (InvalidRequest, Kind.INVALID_REQUEST),
    (AmountRefused, Kind.AMOUNT_REFUSED),
    (MethodRefused, Kind.METHOD_REFUSED),
    (IdempotencyKeyReused, Kind.IDEMPOTENCY_KEY_REUSED),
    (OrderHasPayment, Kind.ORDER_HAS_PAYMENT),
    (WrongState, Kind.WRONG_STATE),
    (NotParked, Kind.WRONG_STATE),
    (NotReplayable, Kind.WRONG_STATE),
    (NotLeft, Kind.WRONG_STATE),
    (NotCleared, Kind.WRONG_STATE),
    (NotFound, Kind.NOT_FOUND),
    (InProgress, Kind.IN_PROGRESS),
    (RateLimited, Kind.RATE_LIMITED),
    (LookUpOnly, Kind.UNAVAILABLE),
    (Unavailable, Kind.UNAVAILABLE),
)


def problem_of(error: CounterfoilError) -> Problem:
    """Return the problem document that tells the caller of this error."""
    kind = next((kind for type_, kind in _KINDS if isinstance(error, type_)), None)
    if kind is None:
        return FAILED_HERE
    extra = {}
    if isinstance(error, AmountRefused):
        extra["reason"] = error.reason.value
    if isinstance(error, WrongState):
        extra["payment_status"] = error.status
    if isinstance(error, NotParked):
        extra["effect_state"] = error.state
    if isinstance(error, NotReplayable):
        extra["notice_state"] = error.state
    if isinstance(error, NotLeft):
        extra["difference_state"] = error.state
    if isinstance(error, OrderHasPayment | RateLimited) and error.payment_id is not None:
        extra["payment_id"] = error.payment_id
    return Problem(
        kind,
        str(error),
        field=error.field if isinstance(error, Refused) else None,
        extra=extra,
        headers={"Retry-After": str(error.retry_after_seconds)} if isinstance(error, Retry) else {},
    )
