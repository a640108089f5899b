"""What every processor offers, whoever it is."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum, unique
from typing import Protocol
from uuid import UUID

from counterfoil.domain.comparing import Resource, Theirs
from counterfoil.domain.errors import Unavailable
from counterfoil.domain.money import Money
from counterfoil.domain.order import Order
from counterfoil.domain.payment import Dispute
from counterfoil.domain.refunding import Listing, RefundVerdict, Repayment
from counterfoil.domain.request import Request
from counterfoil.domain.verdict import Cause, Verdict


@dataclass(frozen=True, slots=True)
class Identity:
    """Which event a delivery brings. ``account`` is empty for our own account."""

    account: str
    livemode: bool
    event_id: str
    type: str
    object_id: str | None


class NotAnEvent(Exception):
    """The bytes are no event of the processor; ``str()`` says why without repeating them."""


@unique
class Silence(StrEnum):
    """Why a notice says nothing of a payment of ours."""

    FOREIGN = "about an object that is none of ours"
    IRRELEVANT = "of a type that changes no payment"


@dataclass(frozen=True, slots=True)
class Word:
    """What a notice says of one of our payments.

    ``payment_id`` is what the object's metadata claims. ``verdict`` is None where the event was written in another API
    version: then it is only a hint that the object is worth asking for. With ``refunds`` it hints that something was
    given back, or was not after all.
    """

    payment_id: UUID | None
    intent_id: str | None
    charge_id: str | None
    verdict: Verdict | None
    refunds: bool = False


@unique
class Hint(StrEnum):
    """That there is something to learn of a payment, without what it is."""

    BOOKED = "its charge was booked, so that its fee can be asked for"
    DISPUTED = "a dispute of it changed"


@dataclass(frozen=True, slots=True)
class Aftermath:
    """What a notice says of one of our payments once its outcome is known.

    ``payment_id`` is what the object's metadata claims; a dispute has none of ours, so only the processor's names for
    payment and charge tell whose it is.
    """

    payment_id: UUID | None
    intent_id: str | None
    charge_id: str
    news: Dispute | Hint
    cause: Cause


@dataclass(frozen=True, slots=True)
class Learned:
    """What the processor says of a charge that succeeded, when asked: its fee, if it is known by now, and its disputes.

    ``key_refused`` is set where the processor does not accept our credentials, ``alarm`` where a person must see
    something.
    """

    cause: Cause
    fee: Money | None = None
    disputes: tuple[Dispute, ...] = ()
    key_refused: bool = False
    alarm: str | None = None


@unique
class Priority(IntEnum):
    """What a call is for: where there is not enough for all, whoever stands first here goes first."""

    CHARGE = 0  # money is asked for, taken, let go or given back
    LOOK_UP = 1  # how one payment stands
    RECONCILE = 2  # both sides are compared
    CATCH_UP = 3  # what was missed is listed


class Budget(Protocol):
    """How many calls a processor takes, shared by everybody who calls it."""

    async def take(self, priority: Priority) -> None:
        """Return once a call may be made. A charge waits for a moment only, and is made then whatever is left.

        Raises:
            Unavailable: there was nothing left for so long that this call had better be made another time.
        """

    def note_refusal(self, reason: str) -> None:
        """Hear that the processor refused a call because there were too many, and what it said of the limit."""


class Unlimited:
    """The budget of who calls a processor that takes whatever comes."""

    async def take(self, priority: Priority) -> None:
        """Return at once."""

    def note_refusal(self, reason: str) -> None:
        """Hear it, and go on."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of what the processor has on record, the newest first.

    ``shown`` is what may be ours, ``foreign`` how many things there were beside it. ``last`` names the last thing,
    behind which the next page begins; None where this was the last page. ``reached`` is when the last thing was made.
    ``alarms`` says of what could not be read why not.
    """

    shown: tuple[Theirs, ...] = ()
    foreign: int = 0
    last: str | None = None
    reached: datetime | None = None
    alarms: tuple[str, ...] = ()


class Untold(Unavailable):
    """The processor did not tell what was asked; ``verdict`` is what became of asking. Ask again later."""

    verdict: Verdict

    def __init__(self, verdict: Verdict) -> None:
        super().__init__("processor")
        self.verdict = verdict


class Books(Protocol):
    """What a processor has on record, read page by page; nothing is ever sent by it."""

    async def page(self, resource: Resource, since: datetime, until: datetime, behind: str | None) -> Page:
        """Return the page behind a thing, or the first, of all of a kind that were made from ``since`` to ``until``.

        Raises:
            Untold: the processor did not answer, or not with a page.
        """

    def resource_of(self, name: str) -> Resource:
        """Return what kind of thing a payment goes by whose name at the processor is this."""

    async def show(self, resource: Resource, name: str) -> Page:
        """Return a page of one thing as it stands now; of none where the processor does not know it, or it is not ours.

        Raises:
            Untold: the processor did not answer.
        """


def always() -> bool:
    """Return True: for who sends while nobody else could."""
    return True


@dataclass(frozen=True, slots=True)
class ListedEvent:
    """An event as the processor lists it, which is as it delivers it; ``created`` has whole seconds."""

    identity: Identity
    created: datetime
    body: bytes


@dataclass(frozen=True, slots=True)
class EventPage:
    """Some events, newest first. ``after`` is where the next page begins; None on the last.

    ``unreadable`` is what else was listed: why it is no event, and its bytes.
    """

    events: tuple[ListedEvent, ...]
    after: str | None
    unreadable: tuple[tuple[str, bytes], ...] = ()


class NotListed(Exception):
    """The processor gave no page of its events; ``str()`` says why.

    ``place_lost`` is set where it no longer knows the event that the page was to begin after, ``key_refused`` where it
    does not take our key, at least not for this, ``refused`` where it takes the question for wrong.
    """

    def __init__(self, why: str, *, place_lost: bool = False, key_refused: bool = False, refused: bool = False) -> None:
        super().__init__(why)
        self.place_lost, self.key_refused, self.refused = place_lost, key_refused, refused


class Processor(Protocol):
    """Somebody who moves money. None of its methods raises for what the processor answers: unknown is a verdict.

    ``credential`` is a digest of the key in use: it tells keys apart and gives none away.
    """

    livemode: bool
    credential: str

    @property
    def books(self) -> Books:
        """What it has on record."""

    async def can_hold(self, payment_method: str) -> bool:
        """Return whether money of this method can be held first, and taken or let go later.

        Raises:
            MethodRefused: the processor does not know the method.
            Unavailable: the processor had to be asked about the method and did not answer.
        """

    async def request_for(self, payment_id: UUID, order: Order) -> Request:
        """Return the request that asks for the first attempt of this payment.

        Raises:
            MethodRefused: the payment method cannot be used for this order.
            Unavailable: the processor had to be asked about the method and did not answer.
        """

    async def request_again(self, payment_id: UUID, intent_id: str | None, number: int, order: Order) -> Request:
        """Return the request for a further attempt at a payment, which the processor knows by this name if it has one.

        Raises:
            MethodRefused: the payment method cannot be used for this order.
            Unavailable: the processor had to be asked about the method and did not answer.
        """

    def may_charge_again(self, request: Request) -> bool:
        """Return whether what a request is paid with can be charged again without its customer.

        It is so where the method is kept for that customer at the processor, and the customer is not there now either.
        """

    def cancellation(self, intent_id: str, event_id: str, number: int) -> Request:
        """Return the request to let a payment go; ``number`` counts such requests of one payment."""

    def capture(self, intent_id: str, event_id: str, number: int, amount: int) -> Request:
        """Return the request to take so much of what a payment holds; ``number`` counts such requests of a payment."""

    async def send(self, request: Request, *, again: bool, may_send: Callable[[], bool] = always) -> Verdict:
        """Send a stored request and return what was heard; nothing is sent where it is too late by then.

        Args:
            request: as stored; its key and body are on record before this is called.
            again: whether an earlier send of it may have reached the processor, so that a refusal of *this* send proves
                nothing about that one.
            may_send: asked at the last moment before bytes leave; False where the right to send has ended.
        """

    def refund(self, repayment: Repayment) -> Request:
        """Return the request to give money back."""

    async def send_refund(
        self, request: Request, *, again: bool, may_send: Callable[[], bool] = always
    ) -> RefundVerdict:
        """Send a stored request to give money back and return what was heard; otherwise as `send`."""

    async def refunds_of(self, intent_id: str | None, charge_id: str | None) -> Listing:
        """Return all refunds of a payment's charge, in one look at it; its name is asked for where it is not known."""

    async def look_up(self, intent_id: str) -> Verdict:
        """Ask how a payment stands, by the processor's own name for it."""

    async def learn(self, charge_id: str) -> Learned:
        """Ask for what is known late of a charge that succeeded; nothing is learned where the processor is silent."""

    async def admits_us(self) -> bool:
        """Return whether the processor takes our credentials; False as well where it does not answer."""

    async def find(
        self,
        payment_id: UUID,
        first_sent_at: datetime,
        last_sent_at: datetime,
        request: Request | None = None,
    ) -> Verdict:
        """Look for a payment whose name was never learned, among all that were made while it was being sent.

        ``request`` is what was sent of it last, and says what kind of thing to look for, where there are several.

        The verdict is ``absent`` where everything was looked through and it was not there.
        """

    async def events(self, since: datetime, after: str | None, *, undelivered: bool) -> EventPage:
        """Return a page of the events that say something of payments, made since then, from the one after ``after``.

        With ``undelivered`` only those that the processor takes for not delivered, or not yet.

        Raises:
            NotListed: there is no page to be had.
        """


class NoticeReader(Protocol):
    """What a processor's notices say. Pure: no I/O."""

    def read(self, body: bytes) -> Word | Aftermath | Silence:
        """Return what a kept notice says.

        Raises:
            NotAnEvent: the bytes cannot be read, or a field in them is not what the processor documents.
        """
