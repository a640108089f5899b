"""All that the sandbox holds for one mode, test or live, of its one account."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Protocol

from stripe_sandbox.catalogue import Decline
from stripe_sandbox.clock import Clock
from stripe_sandbox.faults import Fault, Script
from stripe_sandbox.ids import Ids
from stripe_sandbox.kept import Container, Kept
from stripe_sandbox.records import Object, Records
from stripe_sandbox.schedule import Schedule
from stripe_sandbox.search import USUAL_LAG_SECONDS, SearchedRecords

API_VERSION: Final = "2024-06-20"


@dataclass(frozen=True, slots=True)
class Cause:
    """The request that made something happen; without an id, time did."""

    request_id: str | None = None
    idempotency_key: str | None = None


TIME: Final = Cause()


@dataclass(frozen=True, slots=True)
class Challenge:
    """A 3-D Secure question that the cardholder has not answered."""

    intent_id: str
    method_id: str
    client_secret: str
    return_url: str | None
    base_url: str


@dataclass(frozen=True, slots=True)
class Awaited:
    """What a PaymentIntent that waits for a bank transfer has got so far, in minor units."""

    method_id: str
    reference: str
    base_url: str
    funded: int = 0


@dataclass(frozen=True, slots=True)
class RetiredSecret:
    """A signing secret that was rolled; it signs until `ends_at`, in seconds since the epoch."""

    secret: str
    ends_at: float


class Courier(Protocol):
    """Takes events to the endpoints."""

    def publish(self, account: "Account", event: Object, fault: Fault | None) -> None:
        """Sends a new event to whoever asked for its type; the fault says what goes wrong on the way."""

    def send(self, account: "Account", event_id: str, endpoint_id: str, number: int) -> None:
        """Tries once more to deliver an event; it is that endpoint's try of that number."""

    def let_go(self, place: int) -> None:
        """Sends the delivery at that place, if it still waits for others to go first."""


class Account:
    """The objects of one mode and what connects them.

    Args:
        livemode: which of the two it is.
        clock: the sandbox's time.
        ids: where ids come from.
        schedule: where things that will be due are put.
        courier: takes each new event to the endpoints.
        script: the faults that events may meet.
        search_lag_seconds: how far searching is behind.
    """

    def __init__(  # noqa: PLR0913 - its surroundings, each of them the sandbox's own
        self,
        *,
        livemode: bool,
        clock: Clock,
        ids: Ids,
        schedule: Schedule,
        courier: Courier,
        script: Script,
        search_lag_seconds: float = USUAL_LAG_SECONDS,
    ) -> None:
        self.livemode = livemode
        self.clock = clock
        self.ids = ids
        self.schedule = schedule
        self.issuer_says: Decline | None = None
        """Why whatever is charged now is declined, whichever the card; a fault's doing."""
        self.closed = False
        """Set by a reset: what was still under way for this account is void."""
        self.payment_intents = SearchedRecords(clock, search_lag_seconds)
        self.charges = Records()
        self.refunds = Records()
        self.disputes = Records()
        self.balance_transactions = Records()
        self.customers = Records()
        self.payment_methods = Records()
        self.mandates = Records()
        self.cash_transactions = Records()
        self.cash: Kept[dict[str, int]] = Kept()
        """Customer id to currency to what bank transfers have left there, in minor units."""
        self.purses: Kept[tuple[str, str]] = Kept(list, lambda told: (told[0], told[1]))
        """Refunds of a cash balance to the customer and currency they come from."""
        self.awaited: Kept[Awaited] = Kept(asdict, lambda told: Awaited(**told))
        """PaymentIntents that wait for a bank transfer, oldest first."""
        self.sources = Records()
        """Cards and sources of the older API; each is a PaymentMethod of the same id too."""
        self.tokens = Records()
        """Cards given by their number, each good for one use."""
        self.events = Records()
        self.webhook_endpoints = Records()
        self.catalogue_names: Kept[str] = Kept()
        """PaymentMethod or token id to the test method it was made from."""
        self.spent_methods: Kept[bool] = Kept()
        """Methods that paid once without belonging to a customer: Stripe takes them no second time."""
        self.challenges: Kept[Challenge] = Kept(asdict, lambda told: Challenge(**told))
        """Open 3-D Secure questions by their PaymentIntent's id."""
        self.authenticated: Kept[str] = Kept()
        """PaymentIntent id to the method its cardholder approved, where the merchant confirms once more."""
        self.signing_secrets: Kept[str] = Kept()
        """Endpoint id to its `whsec_…`."""
        self.retired_secrets: Kept[list[RetiredSecret]] = Kept(
            lambda secrets: [asdict(one) for one in secrets], lambda told: [RetiredSecret(**one) for one in told]
        )
        """Endpoint id to earlier secrets, which sign beside the present one until their time is over."""
        self.failing_since: Kept[float] = Kept()
        """Endpoint id to the moment from which on nothing was accepted there."""
        self.undelivered: Kept[list[str]] = Kept()
        """Event id to the endpoints that have yet to accept it."""
        self.courier = courier
        self._script = script

    def records(self) -> dict[str, Records]:
        """Everything of Stripe's that it holds, by the name of its kind in the API's addresses."""
        return {name: value for name, value in vars(self).items() if isinstance(value, Records)}

    def containers(self) -> dict[str, Container]:
        """All that a file of state has to keep of it, by name."""
        kept: dict[str, Container] = {}
        for name, value in vars(self).items():
            if isinstance(value, Records | Kept):
                kept[name] = value
            if isinstance(value, SearchedRecords):
                kept |= {f"{name}.{part}": container for part, container in value.searched.items()}
        return kept

    def emit(self, type_: str, record: Object, cause: Cause, previous: Mapping[str, Any] | None = None) -> None:
        """Makes the event for a change, with the object as it is now, and sends it on its way.

        Args:
            type_: such as `charge.succeeded`.
            record: the changed object; kept as it is, for objects never change in place.
            cause: the request behind it.
            previous: old values of changed fields, for `*.updated`.
        """
        fault = self._script.on_event(type_)
        if fault is not None and fault.kind == "event_never_made":
            return
        for _ in range(2 if fault is not None and fault.kind == "event_twice" else 1):
            self.courier.publish(self, self._event(type_, record, cause, previous), fault)

    def _event(self, type_: str, record: Object, cause: Cause, previous: Mapping[str, Any] | None) -> Object:
        body: dict[str, Any] = {"object": record}
        if previous is not None:
            body["previous_attributes"] = previous
        return self.events.put(
            {
                "id": self.ids.new("evt"),
                "object": "event",
                "api_version": API_VERSION,
                "created": self.clock.stamp(),
                "data": body,
                "livemode": self.livemode,
                "pending_webhooks": 0,
                "request": {"id": cause.request_id, "idempotency_key": cause.idempotency_key},
                "type": type_,
            }
        )
