"""The steps of a payment's story: what either side has on record, each as one line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from counterfoil.domain.money import Money


class Between(StrEnum):
    """Between whom a step happens. Those of one moment are told in this order: on record before it is sent."""

    DEMO_TO_SANDBOX = "demo → sandbox"
    TOUR_TO_SANDBOX = "tour → sandbox"
    TOUR_TO_YOU = "tour → you"
    YOU_TO_GATEWAY = "you → gateway"
    FRAUD_TO_GATEWAY = "fraud → gateway"
    YOU_TO_STRIPE = "you → Stripe"
    CUSTOMER_TO_BANK = "customer → bank"
    ON_RECORD = "on record"
    GATEWAY_TO_STRIPE = "gateway → Stripe"
    WORKER_TO_STRIPE = "worker → Stripe"
    STRIPE_TO_GATEWAY = "Stripe → gateway"
    STRIPE_TO_WORKER = "Stripe → worker"
    STRIPE_TO_NOBODY = "Stripe → nobody"
    STRIPE_TO_RECEIVER = "Stripe → receiver"
    GATEWAY_TO_YOU = "gateway → you"
    GATEWAY_TO_FRAUD = "gateway → fraud"
    WORKER_TO_CUSTOMER = "worker → customer"
    PUBLISHED = "published"

    @property
    def style(self) -> str:
        """Its colour, as Rich names it."""
        return _STYLES[self]


_STYLES: Final[Mapping[Between, str]] = {
    Between.DEMO_TO_SANDBOX: "bold yellow",
    Between.TOUR_TO_SANDBOX: "bold yellow",
    Between.TOUR_TO_YOU: "bold red",
    Between.YOU_TO_GATEWAY: "bold blue",
    Between.FRAUD_TO_GATEWAY: "bold yellow",
    Between.YOU_TO_STRIPE: "bold yellow",
    Between.CUSTOMER_TO_BANK: "bold yellow",
    Between.ON_RECORD: "bold",
    Between.GATEWAY_TO_STRIPE: "cyan",
    Between.WORKER_TO_STRIPE: "cyan",
    Between.STRIPE_TO_GATEWAY: "cyan",
    Between.STRIPE_TO_WORKER: "cyan",
    Between.STRIPE_TO_NOBODY: "bold red",
    Between.STRIPE_TO_RECEIVER: "magenta",
    Between.GATEWAY_TO_YOU: "bold blue",
    Between.GATEWAY_TO_FRAUD: "bold yellow",
    Between.WORKER_TO_CUSTOMER: "bold blue",
    Between.PUBLISHED: "green",
}

_RANKS: Final = {between: rank for rank, between in enumerate(Between)}


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened: when, between whom, and what."""

    at: datetime
    between: Between
    what: str

    @property
    def place(self) -> tuple[datetime, int]:
        """Where it stands in the story; steps of one place stand as they were found."""
        return self.at, _RANKS[self.between]


def of_entry(entry: Mapping[str, Any], sender: Between = Between.GATEWAY_TO_STRIPE) -> Step:
    """Return an entry of our timeline as a step: a request is on its way, a notice was read, a fact is on record.

    Who sent a request is not in the timeline, so it is an argument.
    """
    at, details = datetime.fromisoformat(entry["at"]), entry["details"]
    if entry["kind"] == "request":
        return Step(at, sender, f"{entry['name']}  key {details['idempotency_key']}")
    if entry["kind"] == "notice":
        return Step(at, Between.STRIPE_TO_RECEIVER, f"{entry['name']}: signed, kept, read")
    if entry["kind"] == "fee":
        return Step(
            at, Between.ON_RECORD, f"the fee is known: {Money(details['amount'], details['currency']).format()}"
        )
    if entry["kind"] == "check":
        score = "" if details["risk_score"] is None else f"  risk {details['risk_score']:g}"
        return Step(at, Between.ON_RECORD, f"{entry['name']}{score}")
    if entry["kind"] == "task":
        return Step(at, Between.ON_RECORD, "  ".join(filter(None, [f"step {entry['name']}", details["outcome"]])))
    source = details["cause"].split()[0]
    return Step(at, Between.ON_RECORD, f"{entry['name']} #{entry['sequence']}  cause: {source}")


def of_requests(
    requests: Sequence[Mapping[str, Any]], sender: Between = Between.GATEWAY_TO_STRIPE, *, is_in_timeline: bool = True
) -> list[tuple[str, Step]]:
    """Return what the sandbox logged under one key as steps, each with a name that no other has.

    Their times have to be datetimes of our clock. The first is the `sender`'s, and where our own timeline has it, that
    it was sent is told by that; whatever comes after it is sent by a worker, and only the sandbox knows how often.
    """
    steps = []
    for number, request in enumerate(requests):
        is_again = number > 0
        if is_again:
            which = "the same request again" if request["body"] == requests[0]["body"] else "another request"
            sent = Step(request["received_at"], Between.WORKER_TO_STRIPE, f"{which}  key {request['idempotency_key']}")
            steps.append((f"sent {request['id']}", sent))
        elif not is_in_timeline:
            what = f"{request['method']} {request['path']}  key {request['idempotency_key']}"
            steps.append((f"sent {request['id']}", Step(request["received_at"], sender, what)))
        by_worker = is_again or sender is Between.WORKER_TO_STRIPE
        steps.append((f"answered {request['id']}", _answer(request, by_worker=by_worker)))
    return steps


def _answer(request: Mapping[str, Any], *, by_worker: bool) -> Step:
    words = [str(request["status"]), request["error_code"] or "", "Idempotent-Replayed" if request["replayed"] else ""]
    where = f"to {request['method']} {request['path']}"
    if request["fault"] == "lose_answer":
        between, where = Between.STRIPE_TO_NOBODY, f"{where}: lost"
    else:
        between = Between.STRIPE_TO_WORKER if by_worker else Between.STRIPE_TO_GATEWAY
    return Step(request["answered_at"], between, "  ".join([*filter(None, words), where]))
