"""What stands in the headers of a message: CloudEvents 1.0, Kafka binding, binary mode.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID, uuid5

SPECIFICATION: Final = b"1.0"
CONTENT_TYPE: Final = b"application/json"


REFUSAL_NAMESPACE: Final = UUID("018f3c1e-7a52-7c64-9d0b-5e1f6a2b8c90")
"""Under which the id of a refusal is made of what it refuses, so that the same one said twice is known as one."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """A fact about to be told: whose it is, and which of theirs."""

    id: UUID
    name: str
    version: str
    payment_id: UUID
    sequence: int
    at: datetime


def source_of(installation: str) -> str:
    """Return what names an installation to those who hear of several."""
    return f"/counterfoil/{installation}"


def headers(fact: Spoken, source: str) -> tuple[tuple[str, bytes], ...]:
    """Return the headers of the message that tells this fact; its key is the id of the payment."""
    payment_id = str(fact.payment_id).encode()
    return (
        ("ce_specversion", SPECIFICATION),
        ("ce_id", str(fact.id).encode()),
        ("ce_type", fact.name.encode()),
        ("ce_source", source.encode()),
        ("ce_dataschema", f"urn:counterfoil:{fact.name}:{fact.version}".encode()),
        ("ce_subject", payment_id),
        ("ce_partitionkey", payment_id),
        ("ce_sequence", str(fact.sequence).encode()),
        ("ce_time", _time(fact.at)),
        ("content-type", CONTENT_TYPE),
    )


def refusal_headers(refused: str, order_id: str, at: datetime) -> tuple[tuple[str, bytes], ...]:
    """Return the headers of OrderRefused for the message of that id; there is no payment, so the order is its key."""
    return (
        ("ce_specversion", SPECIFICATION),
        ("ce_id", str(uuid5(REFUSAL_NAMESPACE, refused)).encode()),
        ("ce_type", b"OrderRefused"),
        ("ce_source", source_of("dispatcher").encode()),
        ("ce_dataschema", b"urn:counterfoil:OrderRefused:1.0.0"),
        ("ce_subject", order_id.encode()),
        ("ce_partitionkey", order_id.encode()),
        ("ce_time", _time(at)),
        ("content-type", CONTENT_TYPE),
    )


def _time(at: datetime) -> bytes:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z").encode()
