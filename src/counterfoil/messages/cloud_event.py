"""What stands in the headers of a message: CloudEvents 1.0, Kafka binding, binary mode.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from uuid import UUID, uuid5

SPECIFICATION: Final = "1.0"
CONTENT_TYPE: Final = "application/json"

KINDS: Final = 256
"""Kinds of messages whose common headers are kept ready: more than one installation and its sources send."""

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
    subject = told.subject.encode()
    own = [
        ("ce_id", str(told.id).encode()),
        ("ce_subject", subject),
        ("ce_partitionkey", subject),
        ("ce_time", told.at.astimezone(UTC).isoformat().replace("+00:00", "Z").encode()),
    ]
    if told.sequence is not None:
        own.append(("ce_sequence", str(told.sequence).encode()))
    if told.tenant_id is not None:
        own.append(("ce_tenantid", told.tenant_id.encode()))
    if told.traceparent is not None:
        own.append(("traceparent", told.traceparent.encode()))
    return (*_of_kind(told.name, told.version, source), *own)


@lru_cache(maxsize=KINDS)
def _of_kind(name: str, version: str | None, source: str) -> tuple[tuple[str, bytes], ...]:
    """Return the headers that all messages of one kind have alike: made once, for thousands a second."""
    schema = () if version is None else (("ce_dataschema", schema_name(name, version).encode()),)
    return (
        ("ce_specversion", SPECIFICATION.encode()),
        ("ce_type", name.encode()),
        ("ce_source", source.encode()),
        *schema,
        ("content-type", CONTENT_TYPE.encode()),
    )


def refusal_headers(
    refused: str, order_id: str, at: datetime, traceparent: str | None
) -> tuple[tuple[str, bytes], ...]:
    """Return the headers of OrderRefused for the message of that id; there is no payment, so the order is its key."""
    name = uuid5(REFUSAL_NAMESPACE, refused)
    refusal = Told(name, "OrderRefused", "1.0.0", order_id, at, traceparent=traceparent)
    return headers(refusal, source_of("dispatcher"))
