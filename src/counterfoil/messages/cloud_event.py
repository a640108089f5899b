"""What stands in the headers of a message: CloudEvents 1.0, Kafka binding, binary mode.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

SPECIFICATION: Final = b"1.0"
CONTENT_TYPE: Final = b"application/json"


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
        ("ce_time", fact.at.astimezone(UTC).isoformat().replace("+00:00", "Z").encode()),
        ("content-type", CONTENT_TYPE),
    )
