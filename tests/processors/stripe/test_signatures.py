import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.processors.stripe.signatures import (
    MAX_HEADER_BYTES,
    MAX_SIGNATURES,
    TOLERANCE_SECONDS,
    Accepted,
    Reason,
    Refusal,
    verify,
)

BOOK = json.loads(Path(__file__).with_name("stripe_signatures.json").read_text())
NOW = 1_700_000_000
SECRET = b"whsec_test_secret"
BODY = b'{"id":"evt_1","object":"event"}'


@dataclass(frozen=True)
class Vector:
    """One row of the book: a delivery, and what is to be said of it."""

    name: str
    header: bytes | None
    body: bytes
    secrets: tuple[bytes, ...]
    now: int
    tolerance: int
    expected: str


def read(row: dict[str, Any]) -> Vector:
    return Vector(
        name=f"{row['id']}: {row['name']}",
        header=None if row["header"] is None else row["header"].encode(),
        body=base64.b64decode(row["body_base64"]),
        secrets=tuple(secret.encode() for secret in row["secrets"]),
        now=row["now"],
        tolerance=row["tolerance"],
        # A 400 of an accepted row is said of its body later on, by whoever decodes it.
        expected="accept" if row["expect"] == "accept" else f"{row['reason']} {row['http_status']}",
    )


VECTORS = [read(row) for row in BOOK["vectors"]]
USABLE = [vector for vector in VECTORS if not vector.expected.startswith("config:")]


def sign(body: bytes, seconds: int, secret: bytes = SECRET) -> bytes:
    return hmac.new(secret, b"%d." % seconds + body, hashlib.sha256).hexdigest().encode()


def header(seconds: int, *signatures: bytes) -> bytes:
    return b"t=%d" % seconds + b"".join(b",v1=" + signature for signature in signatures)


def said(answer: Accepted | Refusal) -> str:
    return "accept" if isinstance(answer, Accepted) else f"{answer.reason.label} {answer.http_status.value}"


def test_the_book_holds_all_its_vectors_and_our_limits_are_its_policy() -> None:
    """71 rows, of which one is refused by the settings; the limits in the code are those the rows were made for."""
    policy = BOOK["policy"]
    assert (len(VECTORS), len(USABLE)) == (71, 70)
    assert policy["tolerance_s"] == policy["future_tolerance_s"] == TOLERANCE_SECONDS
    assert (policy["max_header_bytes"], policy["max_v1"]) == (MAX_HEADER_BYTES, MAX_SIGNATURES)


@pytest.mark.parametrize("vector", USABLE, ids=lambda vector: vector.name)
def test_each_vector_gets_its_verdict_reason_and_status(vector: Vector) -> None:
    """What the book says of a delivery is what we say of it, to the reason and the status."""
    answer = verify(vector.header, vector.body, vector.secrets, vector.now, vector.tolerance)
    assert said(answer) == vector.expected


@pytest.mark.parametrize("tolerance_seconds", [0, -1])
def test_a_tolerance_that_is_not_positive_is_refused(tolerance_seconds: int) -> None:
    """Zero turns the check off in one of Stripe's libraries and refuses everything in another; here it is an error."""
    with pytest.raises(ValueError, match="positive"):
        verify(header(NOW, sign(BODY, NOW)), BODY, [SECRET], NOW, tolerance_seconds)


def test_the_secret_that_signed_is_named() -> None:
    """While secrets are rolled the receiver counts which one still signs; the first that fits is named."""
    old, new = b"whsec_old_0123456789ab", b"whsec_new_0123456789ab"
    both = header(NOW, sign(BODY, NOW, new), sign(BODY, NOW, old))
    assert verify(header(NOW, sign(BODY, NOW, old)), BODY, [new, old], NOW) == Accepted(1)
    assert verify(both, BODY, [new, old], NOW) == Accepted(0)


def test_two_headers_are_refused_even_if_both_are_right() -> None:
    """Servers hand both on, and whoever stands before us may have read the other one."""
    good = header(NOW, sign(BODY, NOW))
    assert said(verify([good, good], BODY, [SECRET], NOW)) == "several_headers 400"
    assert said(verify([good], BODY, [SECRET], NOW)) == "accept"
    assert said(verify([], BODY, [SECRET], NOW)) == "missing_header 400"


def test_the_time_is_only_judged_on_what_was_signed() -> None:
    """A forgery is a mismatch whatever time it claims, so that "too old" always means a replay or a wrong clock."""
    stale = NOW - TOLERANCE_SECONDS - 1
    assert verify(header(stale, b"0" * 64), BODY, [SECRET], NOW) == Refusal(Reason.SIGNATURE_MISMATCH)
    assert verify(header(stale, sign(BODY, stale)), BODY, [SECRET], NOW) == Refusal(Reason.TOO_OLD)


def test_sixteen_signatures_are_read_and_seventeen_refused() -> None:
    """The bound on the work is where the policy puts it, and includes signatures of no use."""
    good = sign(BODY, NOW)
    assert said(verify(header(NOW, *[b"0" * 64] * 15, good), BODY, [SECRET], NOW)) == "accept"
    assert said(verify(header(NOW, *[b"no"] * 16, good), BODY, [SECRET], NOW)) == "too_many_signatures 400"


def test_a_header_of_the_largest_size_is_read_and_one_byte_more_is_not() -> None:
    """The limit is inclusive; what is longer is not even looked at."""
    good = header(NOW, sign(BODY, NOW)) + b",x="
    largest = good.ljust(MAX_HEADER_BYTES, b"a")
    assert said(verify(largest, BODY, [SECRET], NOW)) == "accept"
    assert said(verify(largest + b"a", BODY, [SECRET], NOW)) == "header_too_long 400"


@given(st.binary(max_size=200), st.integers(0, 200), st.integers(0, 7))
def test_any_changed_bit_of_the_body_is_a_mismatch(body: bytes, place: int, bit: int) -> None:
    """No two bodies that differ by a bit are both accepted with one signature."""
    signed = header(NOW, sign(body + b"!", NOW))
    changed = bytearray(body + b"!")
    changed[place % len(changed)] ^= 1 << bit
    assert verify(signed, body + b"!", [SECRET], NOW) == Accepted(0)
    assert verify(signed, bytes(changed), [SECRET], NOW) == Refusal(Reason.SIGNATURE_MISMATCH)


@given(st.binary(max_size=300))
def test_no_header_makes_it_fail_in_another_way_or_pass(raw: bytes) -> None:
    """Whatever bytes stand in the header, the answer is a refusal."""
    assert isinstance(verify(raw, BODY, [SECRET], NOW), Refusal)


@given(st.integers(-TOLERANCE_SECONDS - 3, TOLERANCE_SECONDS + 3))
def test_both_bounds_of_time_are_inclusive(offset_seconds: int) -> None:
    """Accepted exactly while the distance from now, either way, is at most the tolerance."""
    seconds = NOW + offset_seconds
    answer = verify(header(seconds, sign(BODY, seconds)), BODY, [SECRET], NOW)
    assert isinstance(answer, Accepted) == (abs(offset_seconds) <= TOLERANCE_SECONDS)
