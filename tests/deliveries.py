"""Webhook deliveries as Stripe makes them, signed."""

import hmac
import json
from datetime import timedelta
from typing import Any

from tests.stage import SECRET

from counterfoil.runtime.clock import SystemClock


def event(name: str, type_: str = "payment_intent.succeeded", **changes: Any) -> dict[str, Any]:
    """Return an event about somebody's PaymentIntent."""
    return {
        "id": f"evt_{name}",
        "object": "event",
        "api_version": "2024-06-20",
        "created": 1_750_000_000,
        "data": {"object": {"id": f"pi_{name}", "object": "payment_intent", "status": "succeeded", "metadata": {}}},
        "livemode": False,
        "type": type_,
        **changes,
    }


def encoded(content: Any) -> bytes:
    """Return the bytes of a JSON value, spread over lines as Stripe's are."""
    return json.dumps(content, indent=2).encode()


def signature(body: bytes, *, secret: str = SECRET, age: timedelta = timedelta(0)) -> str:
    """Return the value of Stripe-Signature for these bytes, as if signed that long ago."""
    stamp = int((SystemClock().now() - age).timestamp())
    digest = hmac.digest(secret.encode(), f"{stamp}.".encode() + body, "sha256").hex()
    return f"t={stamp},v1={digest}"


def signed(body: bytes) -> dict[str, str]:
    """Return the headers of a genuine delivery of these bytes."""
    return {"Content-Type": "application/json; charset=utf-8", "Stripe-Signature": signature(body)}
