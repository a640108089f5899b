"""Is this webhook from Stripe? Our own strict answer, on the bytes as they arrived.

Source of the scheme: Stripe, "Resolve webhook signature verification errors" and "Verify webhook signatures manually"
(docs.stripe.com/webhooks). The header holds `t=<seconds>,v1=<hex>[,v1=<hex>…]`; a `v1` is the lower-case hex of
HMAC-SHA256, keyed with the endpoint's secret as written (its `whsec_` included), over `<t>.<raw body>`. While a secret
is being rolled, Stripe signs with the old and the new one, hence several `v1`.

Stricter than Stripe's own libraries where they are kind, for what is kind to a sender is kind to a forger: a time in
the future is held to the same bound as one in the past, a repeated `t` is refused rather than chosen from, digits are
ASCII without sign or leading zero, and the work that a header can cause is bounded.
"""

import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from typing import Final

TOLERANCE_SECONDS: Final = 300
"""How far `t` may be from now, either way and inclusive. Stripe's libraries use five minutes for the past."""

MAX_HEADER_BYTES: Final = 4096
"""Stripe sends about 80 bytes a secret; more is nobody we want to read."""

MAX_SIGNATURES: Final = 16
"""How many `v1` are compared at most. Stripe sends one for each live secret, and rolls one at a time."""

_TIMESTAMP = re.compile(rb"0|[1-9][0-9]{0,11}")
_SIGNATURE = re.compile(rb"[0-9a-f]{64}")


class Reason(Enum):
    """Why a delivery is not accepted, and what it is answered: 400 no usable signature, 401 a wrong or stale one."""

    MISSING_HEADER = ("missing_header", HTTPStatus.BAD_REQUEST)
    SEVERAL_HEADERS = ("several_headers", HTTPStatus.BAD_REQUEST)
    HEADER_TOO_LONG = ("header_too_long", HTTPStatus.BAD_REQUEST)
    NON_ASCII_HEADER = ("non_ascii_header", HTTPStatus.BAD_REQUEST)
    MALFORMED_HEADER = ("malformed_header", HTTPStatus.BAD_REQUEST)
    NO_TIMESTAMP = ("no_timestamp", HTTPStatus.BAD_REQUEST)
    DUPLICATE_TIMESTAMP = ("duplicate_timestamp", HTTPStatus.BAD_REQUEST)
    BAD_TIMESTAMP = ("bad_timestamp", HTTPStatus.BAD_REQUEST)
    NO_V1_SIGNATURE = ("no_v1_signature", HTTPStatus.BAD_REQUEST)
    TOO_MANY_SIGNATURES = ("too_many_signatures", HTTPStatus.BAD_REQUEST)
    SIGNATURE_MISMATCH = ("signature_mismatch", HTTPStatus.UNAUTHORIZED)
    TOO_OLD = ("too_old", HTTPStatus.UNAUTHORIZED)
    TOO_FAR_IN_FUTURE = ("too_far_in_future", HTTPStatus.UNAUTHORIZED)

    def __init__(self, label: str, http_status: HTTPStatus) -> None:
        self.label = label
        self.http_status = http_status


@dataclass(frozen=True, slots=True)
class Accepted:
    """These bytes were signed with `secrets[secret_index]` near enough to now."""

    secret_index: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """These bytes are not proven to be Stripe's."""

    reason: Reason

    @property
    def http_status(self) -> HTTPStatus:
        """What the sender is answered."""
        return self.reason.http_status


@dataclass(frozen=True, slots=True)
class _Header:
    timestamp: bytes
    signatures: tuple[bytes, ...]


def verify(
    header_values: Sequence[bytes] | bytes | None,
    body: bytes,
    secrets: Sequence[bytes],
    now_seconds: int,
    tolerance_seconds: int = TOLERANCE_SECONDS,
) -> Accepted | Refusal:
    """Tell whether `body` was signed by a holder of one of `secrets` within `tolerance_seconds` of `now_seconds`.

    `header_values` is every value of `Stripe-Signature` in the request, as raw bytes; `body` the raw bytes received;
    `secrets` are tried in order, each costing one HMAC. Without secrets nothing is accepted. That a secret looks like
    one is for the settings to check: an empty one would accept what anybody can sign.

    Raises ValueError if the tolerance is not positive: it would mean "off" to some and "refuse all" to others.
    """
    if tolerance_seconds <= 0:
        raise ValueError("the tolerance must be a positive number of seconds")
    header = _parse(header_values)
    if isinstance(header, Reason):
        return Refusal(header)
    secret_index = _signing_secret(header, body, secrets)
    if secret_index is None:
        return Refusal(Reason.SIGNATURE_MISMATCH)
    # The time is judged last, so that "too old" is only said of what Stripe did sign: a replay, or a clock gone wrong.
    age_seconds = now_seconds - int(header.timestamp)
    if age_seconds > tolerance_seconds:
        return Refusal(Reason.TOO_OLD)
    if age_seconds < -tolerance_seconds:
        return Refusal(Reason.TOO_FAR_IN_FUTURE)
    return Accepted(secret_index)


def signed(body: bytes, secret: bytes, now_seconds: int) -> str:
    """Return the value of `Stripe-Signature` that a holder of `secret` sends with `body` at that time."""
    stamp = str(now_seconds)
    return f"t={stamp},v1={hmac.digest(secret, stamp.encode() + b'.' + body, 'sha256').hex()}"


def _parse(header_values: Sequence[bytes] | bytes | None) -> _Header | Reason:
    values = [header_values] if isinstance(header_values, bytes) else list(header_values or ())
    if len(values) > 1:
        return Reason.SEVERAL_HEADERS
    if not values or not values[0]:
        return Reason.MISSING_HEADER
    raw = values[0]
    if len(raw) > MAX_HEADER_BYTES:
        return Reason.HEADER_TOO_LONG
    if not raw.isascii():
        return Reason.NON_ASCII_HEADER
    timestamps: list[bytes] = []
    claimed: list[bytes] = []
    for element in raw.split(b","):
        scheme, separator, value = element.partition(b"=")
        if not separator:
            return Reason.MALFORMED_HEADER
        if scheme == b"t":
            timestamps.append(value)
        elif scheme == b"v1":
            claimed.append(value)
    return _check(timestamps, claimed)


def _check(timestamps: list[bytes], claimed: list[bytes]) -> _Header | Reason:
    if not timestamps:
        return Reason.NO_TIMESTAMP
    if len(timestamps) > 1:
        return Reason.DUPLICATE_TIMESTAMP
    if not _TIMESTAMP.fullmatch(timestamps[0]):
        return Reason.BAD_TIMESTAMP
    if len(claimed) > MAX_SIGNATURES:
        return Reason.TOO_MANY_SIGNATURES
    signatures = tuple(value for value in claimed if _SIGNATURE.fullmatch(value))
    return _Header(timestamps[0], signatures) if signatures else Reason.NO_V1_SIGNATURE


def _signing_secret(header: _Header, body: bytes, secrets: Sequence[bytes]) -> int | None:
    signed = header.timestamp + b"." + body
    for index, secret in enumerate(secrets):
        expected = hmac.digest(secret, signed, "sha256").hex().encode()
        # Every one is compared, in constant time: how long it takes tells nothing about the right answer.
        if sum(hmac.compare_digest(expected, signature) for signature in header.signatures):
            return index
    return None
