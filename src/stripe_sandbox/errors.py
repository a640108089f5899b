"""Stripe's way of saying no: status, type, code, and the parameter or object at fault.

    RefusedError          any answer that is not a success
    └── InvalidError      400 before execution began: never stored under an idempotency key

Types, codes and statuses are those of https://docs.stripe.com/api/errors and /error-codes.
"""

from collections.abc import Mapping
from typing import Any, Final

INVALID_REQUEST: Final = "invalid_request_error"
CARD_ERROR: Final = "card_error"
IDEMPOTENCY_ERROR: Final = "idempotency_error"

DOCUMENTATION: Final = "https://stripe.com/docs/error-codes/"


class RefusedError(Exception):
    """An answer with `error` in its body.

    Args:
        status: HTTP status.
        message: one sentence for a person.
        kind: Stripe's `type`.
        code: Stripe's `code`, where it has one.
        param: the parameter at fault, in form notation.
        details: further fields, such as `decline_code` or the whole `payment_intent`.
    """

    def __init__(  # noqa: PLR0913 - these are the fields of Stripe's error object
        self,
        status: int,
        message: str,
        *,
        kind: str = INVALID_REQUEST,
        code: str | None = None,
        param: str | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        fields: dict[str, Any] = {"message": message, "type": kind, **(details or {})}
        if code is not None:
            fields |= {"code": code, "doc_url": documentation(code)}
        if param is not None:
            fields["param"] = param
        self.fields = fields

    def body(self, log_url: str) -> dict[str, Any]:
        """The answer's body, with the address of this request in the log."""
        return {"error": dict(sorted({**self.fields, "request_log_url": log_url}.items()))}


class InvalidError(RefusedError):
    """The request's own shape is wrong, so nothing was executed."""

    def __init__(self, message: str, param: str | None = None, code: str | None = None) -> None:
        super().__init__(400, message, code=code, param=param)


def documentation(code: str) -> str:
    """The page about an error code."""
    return DOCUMENTATION + code.replace("_", "-")


def missing_object(noun: str, identifier: str, param: str, *, status: int = 400) -> RefusedError:
    """Says that an id means nothing here: 404 when it is the path's, 400 when a parameter names it."""
    return RefusedError(status, f"No such {noun}: '{identifier}'", code="resource_missing", param=param)


def wrong_state(message: str, intent: Mapping[str, Any]) -> RefusedError:
    """Says that a PaymentIntent's state forbids what was asked, with the object inside."""
    return RefusedError(400, message, code="payment_intent_unexpected_state", details={"payment_intent": intent})
