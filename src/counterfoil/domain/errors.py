"""What can go wrong, told apart by what the caller must do about it.

::

    CounterfoilError
    ├── Refused                 the caller's fault: asking again with the same words gives the same answer
    │   ├── InvalidRequest          not the shape we ask for; `field` names the place
    │   ├── CardDataNotAccepted     a card number or security code was sent; send a token instead
    │   ├── AmountRefused           a proper amount that cannot be charged; `reason` says which rule
    │   ├── MethodRefused           no payment method that could be used
    │   ├── IdempotencyKeyReused    the key was spent on another request; take a new one
    │   ├── OrderHasPayment         the order already owns a live payment; ask for that one
    │   ├── WrongState              the payment is not in a state that allows this
    │   ├── NotParked               an effect that nobody has to decide on
    │   ├── NotReplayable           a notice that cannot be read once more
    │   ├── NotLeft                 a difference that is no person's to settle
    │   ├── NotCleared              a restored database that has not caught up with the processor yet
    │   └── NotFound                nothing of that id
    ├── Retry                   nobody's fault: ask again, the same words, after `retry_after_seconds`
    │   ├── InProgress              the same key is being worked on now
    │   ├── Unavailable             something we need does not answer
    │   ├── LookUpOnly              nothing is sent until a restored database has caught up
    │   └── RateLimited             too much at once, from this customer or altogether
    └── Stop                    ours to mend: a person has to act before anything can go on
        └── Misconfigured           a setting is missing, wrong or unknown

None of them carries what was sent: an error is logged and shown, and what was sent may be a secret. Which status an
error becomes on HTTP is one table at the gateway's edge; here it is only said what must be done.
"""

import re
from enum import StrEnum
from typing import Final


class AmountReason(StrEnum):
    """Why an amount that is well formed cannot be charged."""

    TOO_SMALL = "amount_too_small"
    TOO_LARGE = "amount_too_large"
    NOT_A_MULTIPLE = "amount_not_a_multiple"
    CURRENCY_NOT_SUPPORTED = "currency_not_supported"
    CURRENCY_DIFFERS = "currency_differs"


class CounterfoilError(Exception):
    """The root of everything we raise on purpose; `str()` of it is one sentence that may be shown and logged."""


class Refused(CounterfoilError):
    """The caller's fault: do not repeat the request as it stands.

    `field` is the dotted path of the place at fault, or None where the whole request is.
    """

    field: str | None

    def __init__(self, sentence: str, *, field: str | None = None) -> None:
        super().__init__(sentence)
        self.field = field


class InvalidRequest(Refused):
    """Not the shape we ask for: mend the field that is named. `why` follows the field's name in a sentence."""

    why: str

    def __init__(self, field: str | None, why: str) -> None:
        super().__init__(f"{field or 'the request'} {why}", field=field)
        self.why = why


class CardDataNotAccepted(Refused):
    """A card number or security code was sent: send the processor's token instead, and treat the number as seen."""

    def __init__(self, field: str | None) -> None:
        super().__init__("card data is never accepted here: send a token or a payment method id", field=field)


class AmountRefused(Refused):
    """A well-formed amount that cannot be charged, or given back: change the amount or the currency.

    `reason` says which rule.
    """

    reason: AmountReason

    def __init__(self, reason: AmountReason, why: str) -> None:
        currency = reason in (AmountReason.CURRENCY_NOT_SUPPORTED, AmountReason.CURRENCY_DIFFERS)
        super().__init__(why, field="currency" if currency else "amount")
        self.reason = reason


class MethodRefused(Refused):
    """No payment method that could be used: name another one. `why` follows the field's name in a sentence."""

    def __init__(self, why: str) -> None:
        super().__init__(f"payment_method {why}", field="payment_method")


class IdempotencyKeyReused(Refused):
    """The key was spent on a request with other contents: take a new key for a new request."""

    def __init__(self) -> None:
        super().__init__("this key was already used for a request with other contents")


class OrderHasPayment(Refused):
    """The order already owns a payment that is neither failed nor canceled: ask for `payment_id` instead."""

    payment_id: str

    def __init__(self, payment_id: str) -> None:
        super().__init__("this order already has a payment", field="order_id")
        self.payment_id = payment_id


class WrongState(Refused):
    """The payment is not in a state that allows this: read it again and decide anew."""

    status: str

    def __init__(self, status: str, asked: str) -> None:
        super().__init__(f"a payment that is {status} cannot be {asked}")
        self.status = status


class NotParked(Refused):
    """An effect that is not parked is no person's business: read it again; `state` is how it stands."""

    state: str

    def __init__(self, state: str) -> None:
        super().__init__(f"only what is parked can be replayed or dropped, and this is {state}")
        self.state = state


class NotReplayable(Refused):
    """A notice that cannot be read once more: what it says is gone, or was never an event. `state` is how it stands."""

    state: str

    def __init__(self, state: str, why: str) -> None:
        super().__init__(f"this cannot be read once more: {why}")
        self.state = state


class NotLeft(Refused):
    """A difference that is not left for a person needs no acknowledgement: read it again; `state` is how it stands."""

    state: str

    def __init__(self, state: str) -> None:
        super().__init__(f"only a difference that is left can be acknowledged, and this is {state}")
        self.state = state


class NotCleared(Refused):
    """A restored database has not caught up with the processor: do what the sentence says, then ask again."""


class NotFound(Refused):
    """Nothing of that id, or nothing that the caller may see. `what` is a noun: payment, order, refund."""

    def __init__(self, what: str) -> None:
        super().__init__(f"no such {what}")


class Retry(CounterfoilError):
    """Nobody's fault: send the same request again, with the same key, after `retry_after_seconds`."""

    retry_after_seconds: int

    def __init__(self, sentence: str, *, retry_after_seconds: int = 1) -> None:
        super().__init__(sentence)
        self.retry_after_seconds = retry_after_seconds


class InProgress(Retry):
    """The same key is being worked on at this moment: ask again, its answer will be there."""

    def __init__(self, *, retry_after_seconds: int = 1) -> None:
        super().__init__("a request with this key is in hand", retry_after_seconds=retry_after_seconds)


class Unavailable(Retry):
    """Something we need does not answer; nothing was taken in. `dependency` names it: database, processor, broker."""

    dependency: str

    def __init__(self, dependency: str, *, retry_after_seconds: int = 1) -> None:
        super().__init__(f"the {dependency} does not answer", retry_after_seconds=retry_after_seconds)
        self.dependency = dependency


class LookUpOnly(Retry):
    """The database was put back to an earlier moment: nothing new is taken in or sent until it has caught up."""

    def __init__(self) -> None:
        sentence = "the database was restored, and nothing is sent until it has caught up with the processor"
        super().__init__(sentence, retry_after_seconds=60)


class RateLimited(Retry):
    """Too much at once. With `payment_id` the customer is over the attempt limit and that payment has failed."""

    payment_id: str | None

    def __init__(self, *, retry_after_seconds: int, payment_id: str | None = None) -> None:
        super().__init__("too many requests", retry_after_seconds=retry_after_seconds)
        self.payment_id = payment_id


class Stop(CounterfoilError):
    """Ours to mend: going on would do harm, so a person has to act first."""


class Misconfigured(Stop):
    """A setting is missing, wrong or unknown: the process must not start. The value itself is never repeated."""

    setting: str

    def __init__(self, setting: str, why: str) -> None:
        super().__init__(f"{setting} {why}")
        self.setting = setting


def named(error: CounterfoilError) -> str:
    """Return the name of an error as a dead letter or a machine is told it: ``order-has-payment``."""
    return _WORD.sub("-", type(error).__name__).lower()


_WORD: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")
