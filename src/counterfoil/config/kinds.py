"""What settings are once they are read: the words some of them may be, and all of them as one value."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path

from counterfoil.config.sources import OutboxSource
from counterfoil.config.values import SigningSecret
from counterfoil.runtime.secret import Secret

STRIPE_API_BASE = "https://api.stripe.com"
"""Stripe itself."""


class Role(StrEnum):
    """The processes that one program can be, by the names used in `PAYMENTS_MODE` and `counterfoil run`."""

    GATEWAY = "gateway"
    WEBHOOK_RECEIVER = "webhook-receiver"
    WORKER = "worker"
    OUTBOX_PUBLISHER = "outbox-publisher"
    DISPATCHER = "dispatcher"

    @property
    def needs_database(self) -> bool:
        """Whether it works with the store."""
        return self is not Role.DISPATCHER


ROLES_OF_UP: tuple[Role, ...] = tuple(role for role in Role if role is not Role.DISPATCHER)
"""Those that work with nothing but a database and the processor: all that is needed where there is no Kafka."""


class Mode(StrEnum):
    """Whose money moves: nobody's (`test`) or people's (`live`)."""

    TEST = "test"
    LIVE = "live"


class LogLevel(StrEnum):
    """The least serious line that is still written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class StripeDriver(StrEnum):
    """Which of Stripe's resources a payment is made with."""

    PAYMENT_INTENTS = "payment_intents"
    CHARGES = "charges"


class FraudScreening(StrEnum):
    """When a fraud check is waited for."""

    NONE = "none"
    BEFORE_CHARGE = "before_charge"
    BEFORE_CAPTURE = "before_capture"


class SecretsSource(StrEnum):
    """Where the text of a secret setting stands."""

    ENV = "env"
    FILE = "file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting, parsed. What `SETTINGS` says about a name holds for the field of the same name."""

    payments_mode: Role | None
    listen_address: str
    port: int
    mode: Mode
    allowed_hosts: tuple[str, ...]
    secrets_source: SecretsSource
    database_url: Secret | None
    stripe_key: Secret | None
    stripe_api_base: str
    stripe_api_version: str
    stripe_driver: StripeDriver
    stripe_rate_limit: int | None
    stripe_webhook_secrets: tuple[SigningSecret, ...]
    return_url: str | None
    public_url: str | None
    kafka_brokers: str | None
    kafka_config: Mapping[str, Secret]
    outbox_sources: tuple[OutboxSource, ...]
    payments_gateway_url: str | None
    payments_gateway_token: Secret | None
    smtp_url: Secret | None
    mail_from: str | None
    step_functions_queue_url: str | None
    default_payment_method: str | None
    fraud_screening: FraudScreening
    fraud_timeout: timedelta
    fraud_auto_block: int
    log_level: LogLevel
    counterfoil_home: Path
    counterfoil_url: str | None
    counterfoil_token: Secret | None
