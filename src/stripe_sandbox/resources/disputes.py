"""Disputes: read, list, answer, give up (https://docs.stripe.com/api/disputes). They begin in `disputing`."""

from collections.abc import Mapping
from typing import Any, Final

from stripe_sandbox import disputing
from stripe_sandbox.calls import Call, Operation
from stripe_sandbox.errors import RefusedError
from stripe_sandbox.params import CREATED, PAGE, Flag, Kind, Metadata, NotCovered, Parameters, Shape, Text, merged
from stripe_sandbox.records import Object

NOUN: Final = "dispute"

FILES: Final = frozenset(
    {
        "cancellation_policy", "customer_communication", "customer_signature", "duplicate_charge_documentation",
        "receipt", "refund_policy", "service_documentation", "shipping_documentation", "uncategorized_file",
    }
)  # fmt: skip
"""Evidence that is a file's id; the sandbox keeps no files."""

TEXT_LENGTH: Final = 20_000


def _retrieve(call: Call) -> Object:
    return call.subject(call.account.disputes, NOUN, "dispute")


def _list(call: Call) -> Mapping[str, Any]:
    wanted = {name: call.params[name] for name in ("charge", "payment_intent") if name in call.params}
    return call.listed(
        call.account.disputes, NOUN, lambda dispute: all(dispute[name] == value for name, value in wanted.items())
    )


def _update(call: Call) -> Object:
    dispute = _retrieve(call)
    evidence = call.params.get("evidence") or {}
    submitted = call.params.get("submit", bool(evidence))
    if (evidence or submitted) and dispute["status"] not in disputing.OPEN:
        raise _over(dispute)
    changed = {
        "evidence": {**dispute["evidence"], **evidence},
        "metadata": merged(dispute["metadata"], call.params.get("metadata")),
    }
    return disputing.answer(call.account, dispute, changed, call.cause, submitted=submitted)


def _close(call: Call) -> Object:
    dispute = _retrieve(call)
    if dispute["status"] not in disputing.OPEN:
        raise _over(dispute)
    return disputing.close(call.account, dispute, call.cause)


def _over(dispute: Object) -> RefusedError:
    return RefusedError(400, f"The dispute {dispute['id']} is {dispute['status']}: it cannot be answered any more.")


_EVIDENCE: Final[dict[str, Kind]] = {
    name: NotCovered() if name in FILES else Text(TEXT_LENGTH, unset=True) for name in disputing.EVIDENCE
}
_ONE: Final = "/v1/disputes/{dispute}"

OPERATIONS: Final = (
    Operation(
        "GET",
        "/v1/disputes",
        _list,
        NOUN,
        Parameters({**PAGE, "created": CREATED, "charge": Text(), "payment_intent": Text()}),
    ),
    Operation("GET", _ONE, _retrieve, NOUN),
    Operation(
        "POST",
        _ONE,
        _update,
        NOUN,
        Parameters({"evidence": Shape(_EVIDENCE), "metadata": Metadata(), "submit": Flag()}),
    ),
    Operation("POST", _ONE + "/close", _close, NOUN),
)
