"""The table of settings: one row for each name there is."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from counterfoil.config import sources, values
from counterfoil.config.kinds import (
    STRIPE_API_BASE,
    FraudScreening,
    LogLevel,
    Mode,
    Role,
    SecretsSource,
    StripeDriver,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One row of the table.

    `parse` raises ValueError in words that follow the setting's name and don't hold the value. `absent` is the
    parsed value when neither the environment nor `default` has one. A secret that roles need, or that is of use to
    them, is given to those roles only; `masked` is what a person may see of a secret.
    """

    name: str
    parse: Callable[[str], object]
    purpose: str
    default: str | None = None
    absent: object = None
    alias: str | None = None
    needed_by: frozenset[Role] = frozenset()
    of_use_to: frozenset[Role] = frozenset()
    secret: bool = False
    masked: Callable[[str], str] = lambda _text: "…"

    @property
    def field(self) -> str:
        """The name of its field in `Settings`."""
        return self.name.lower()

    def is_kept_from(self, role: Role | None) -> bool:
        """Say whether it is a secret that this role has no use for."""
        holders = self.needed_by | self.of_use_to
        return self.secret and bool(holders) and role is not None and role not in holders


_CHARGING = frozenset({Role.GATEWAY, Role.WORKER})

SETTINGS: tuple[Setting, ...] = (
    Setting(
        name="PAYMENTS_MODE", parse=values.one_of(Role), purpose="the role of this process, where `run` names none"
    ),
    Setting(
        name="LISTEN_ADDRESS",
        parse=values.host,
        default="0.0.0.0",  # noqa: S104 - in a container the port is reached from outside it, or not at all
        purpose="the address to listen at; 127.0.0.1 is this machine alone",
    ),
    Setting(
        name="PORT", parse=values.port, default="8080", purpose="where this role listens: its routes, health, metrics"
    ),
    Setting(name="MODE", parse=values.one_of(Mode), default="test", purpose="test or live; must fit the key"),
    Setting(
        name="ALLOWED_HOSTS",
        parse=values.hosts,
        absent=(),
        purpose="host names that requests may be addressed to; unset: any",
    ),
    Setting(
        name="SECRETS_SOURCE",
        parse=values.one_of(SecretsSource),
        default=SecretsSource.ENV.value,
        purpose="where secrets stand: env, in the settings themselves, or file, in files whose paths these hold",
    ),
    Setting(
        name="DATABASE_URL",
        parse=values.database_url,
        secret=True,
        masked=values.masked_url,
        of_use_to=frozenset(role for role in Role if role.needs_database),
        purpose="the PostgreSQL (15 or later) that keeps everything; unset: the embedded one",
    ),
    Setting(
        name="STRIPE_KEY",
        alias="STRIPE_API_KEY",
        parse=values.stripe_key,
        secret=True,
        masked=lambda text: text[: len("sk_test_")] + "…",
        needed_by=_CHARGING,
        purpose="what charges are made with",
    ),
    Setting(
        name="STRIPE_API_BASE",
        parse=values.url,
        default=STRIPE_API_BASE,
        purpose="where Stripe is; the sandbox's address to try things out",
    ),
    Setting(
        name="STRIPE_API_VERSION",
        parse=values.api_version,
        default=values.STRIPE_API_VERSION,
        purpose="sent with every call",
    ),
    Setting(
        name="STRIPE_DRIVER",
        parse=values.one_of(StripeDriver),
        default=StripeDriver.PAYMENT_INTENTS.value,
        purpose="the resource of Stripe that payments are made with",
    ),
    Setting(
        name="STRIPE_RATE_LIMIT",
        parse=values.rate,
        purpose="requests a second that Stripe takes; unset: 100 live, 25 in test mode, any number elsewhere",
    ),
    Setting(
        name="STRIPE_WEBHOOK_SECRETS",
        alias="STRIPE_WEBHOOK_SECRET",
        parse=values.webhook_secrets,
        absent=(),
        secret=True,
        masked=lambda text: ", ".join("whsec_…" for _ in text.split(",")),
        needed_by=frozenset({Role.WEBHOOK_RECEIVER}),
        purpose="what notices are signed with; up to three with commas between them, each good until … if it says so",
    ),
    Setting(
        name="RETURN_URL",
        parse=values.secure_url,
        purpose="where a payer comes back to after approving, if the order does not say",
    ),
    Setting(name="PUBLIC_URL", parse=values.secure_url, purpose="where this installation is reached from outside"),
    Setting(
        name="KAFKA_BROKERS",
        parse=values.brokers,
        needed_by=frozenset({Role.DISPATCHER}),
        purpose="where Kafka is: host:port, with commas between several; unset: facts are at /events alone",
    ),
    Setting(
        name="KAFKA_CONFIG",
        parse=values.kafka_config,
        absent=MappingProxyType({}),
        secret=True,
        of_use_to=frozenset({Role.OUTBOX_PUBLISHER, Role.DISPATCHER, Role.WORKER}),
        purpose='TLS and SASL for Kafka, as librdkafka names them: {"security.protocol": "SASL_SSL", …}',
    ),
    Setting(
        name="OUTBOX_SOURCES",
        parse=sources.outbox_sources,
        absent=(),
        secret=True,
        of_use_to=frozenset({Role.OUTBOX_PUBLISHER}),
        purpose='outboxes of other services, sent to Kafka: [{"name": "shop", "database_url": …, "topics": {…}}]',
    ),
    Setting(
        name="PAYMENTS_GATEWAY_URL",
        parse=values.url,
        needed_by=frozenset({Role.DISPATCHER}),
        purpose="the gateway that orders off Kafka are brought to",
    ),
    Setting(
        name="PAYMENTS_GATEWAY_TOKEN",
        parse=values.token,
        secret=True,
        needed_by=frozenset({Role.DISPATCHER}),
        purpose="the bearer token, of scope charge, that is shown to that gateway",
    ),
    Setting(
        name="SMTP_URL",
        parse=values.smtp_url,
        secret=True,
        masked=values.masked_url,
        of_use_to=frozenset({Role.WORKER}),
        purpose="the mail server that receipts and notices go through; unset: customers are told nothing",
    ),
    Setting(
        name="MAIL_FROM",
        parse=values.sender,
        purpose="whom that mail comes from: Shop <orders@shop.example>; needed with SMTP_URL",
    ),
    Setting(
        name="STEP_FUNCTIONS_QUEUE_URL",
        parse=values.secure_url,
        purpose="the SQS queue that workers take tasks of AWS state machines from; unset: no machine drives payments",
    ),
    Setting(
        name="DEFAULT_PAYMENT_METHOD",
        parse=values.payment_method,
        purpose="used for orders that name none and whose customer has none (test mode only)",
    ),
    Setting(
        name="FRAUD_SCREENING",
        parse=values.one_of(FraudScreening),
        default=FraudScreening.NONE.value,
        purpose="when a fraud check is waited for: none, before_charge, or before_capture (hold first)",
    ),
    Setting(
        name="FRAUD_TIMEOUT",
        parse=values.duration,
        default="15 min",
        purpose="how long a fraud check may take before a person is asked; s, min or h",
    ),
    Setting(
        name="FRAUD_AUTO_BLOCK",
        parse=values.risk_score,
        default="90",
        purpose="from this risk score on a fraud check declines, whatever else it says",
    ),
    Setting(
        name="LOG_LEVEL", parse=values.one_of(LogLevel), default="info", purpose="the least serious line still written"
    ),
    Setting(
        name="COUNTERFOIL_HOME",
        parse=Path,
        default="./.counterfoil",
        purpose="where `up` keeps its database, logs and client settings",
    ),
    Setting(name="COUNTERFOIL_URL", parse=values.url, purpose="the gateway that the command line talks to"),
    Setting(
        name="COUNTERFOIL_TOKEN",
        parse=values.token,
        secret=True,
        purpose="the bearer token that the command line shows the gateway",
    ),
)
