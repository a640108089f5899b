"""What stands in the headers of a message: CloudEvents 1.0, Kafka binding, binary mode.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID, uuid5

SPECIFICATION: Final = "1.0"
CONTENT_TYPE: Final = "application/json"


REFUSAL_NAMESPACE: Final = UUID("018f3c1e-7a52-7c64-9d0b-5e1f6a2b8c90")
"""Under which the id of a refusal is made of what it refuses, so that the same one said twice is known as one."""


@dataclass(frozen=True, slots=True)
class Told:
    """What is about to be told, and of whom: ``subject`` is also the message's key.

    ``version`` is None of what others say: it has no schema of ours. ``sequence`` says which of its payment's
    facts it is; None of what is none. ``traceparent`` is well formed.
    """

    id: UUID
    name: str
    version: str | None
    subject: str
    at: datetime
    sequence: int | None = None
    tenant_id: str | None = None
    traceparent: str | None = None


def schema_name(name: str, version: str) -> str:
    """Return what names the schema of a message in a version: the attribute ``dataschema``."""
    return f"urn:counterfoil:{name}:{version}"


def source_of(installation: str) -> str:
    """Return what names an installation to those who hear of several."""
    return f"/counterfoil/{installation}"


def headers(told: Told, source: str) -> tuple[tuple[str, bytes], ...]:
    """Return the headers of the message that tells this."""
    attributes = {
        "ce_specversion": SPECIFICATION,
        "ce_id": str(told.id),
        "ce_type": told.name,
        "ce_source": source,
        "ce_dataschema": None if told.version is None else schema_name(told.name, told.version),
        "ce_subject": told.subject,
        "ce_partitionkey": told.subject,
        "ce_sequence": None if told.sequence is None else str(told.sequence),
        "ce_time": told.at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "ce_tenantid": told.tenant_id,
        "content-type": CONTENT_TYPE,
        "traceparent": told.traceparent,
    }
    return tuple((name, text.encode()) for name, text in attributes.items() if text is not None)


def refusal_headers(
    refused: str, order_id: str, at: datetime, traceparent: str | None
) -> tuple[tuple[str, bytes], ...]:
    """Return the headers of OrderRefused for the message of that id; there is no payment, so the order is its key."""
    name = uuid5(REFUSAL_NAMESPACE, refused)
    refusal = Told(name, "OrderRefused", "1.0.0", order_id, at, traceparent=traceparent)
    return headers(refusal, source_of("dispatcher"))
