"""Settings: read once from the environment, checked, and handed down as one frozen value.

`SETTINGS` is the table: a name that is not in it and starts like one of ours is refused, because a misspelt
setting that is silently ignored is found only when it was needed. Standard library only: every command of the
command line imports this module.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from os import environ as _environ
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qs, urlsplit

from counterfoil.config import files, values
from counterfoil.config.values import STRIPE_API_VERSION as STRIPE_API_VERSION
from counterfoil.config.values import SigningSecret as SigningSecret
from counterfoil.domain.errors import Misconfigured
from counterfoil.runtime.secret import Secret

_OURS = ("COUNTERFOIL_", "STRIPE_")

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


class Source(StrEnum):
    """Where a setting's value came from."""

    ENVIRONMENT = "environment"
    FILE = "file"
    DEFAULT = "default"
    UNSET = "unset"


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
    payments_gateway_url: str | None
    payments_gateway_token: Secret | None
    smtp_url: Secret | None
    mail_from: str | None
    default_payment_method: str | None
    fraud_screening: FraudScreening
    fraud_timeout: timedelta
    fraud_auto_block: int
    log_level: LogLevel
    counterfoil_home: Path
    counterfoil_url: str | None
    counterfoil_token: Secret | None


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


@dataclass(frozen=True, slots=True)
class Shown:
    """One setting as a person may see it: `value` is None when unset, and masked when secret."""

    name: str
    value: str | None
    source: Source
    purpose: str


def load(environ: Mapping[str, str], role: Role | None) -> Settings:
    """Return the settings of a process that plays `role` (None: the command line, which needs none of them).

    A name that is set to nothing counts as not set. Raises Misconfigured for the first setting that is missing,
    wrong or unknown; its sentence never holds a value.
    """
    _refuse_unknown(environ)
    in_files = _paths_of_secrets(environ)
    values: dict[str, Any] = {}
    for setting in SETTINGS:
        text = _text_of(setting, environ)
        if text is None and role in setting.needed_by:
            raise Misconfigured(setting.name, f"is missing: the {role} cannot work without it ({setting.purpose})")
        if setting.name in in_files:  # a file of another role's may not be ours to read
            text = None if setting.is_kept_from(role) else _read(setting, in_files[setting.name])
        values[setting.field] = _parsed(setting, text if text is not None else setting.default)
    settings = Settings(**values)
    _refuse_contradictions(settings, environ)
    if settings.mode is Mode.LIVE:
        for name in open_files(environ, role):
            raise Misconfigured(name, "names a file that everybody on this machine may read, and MODE is live")
    return _without_others_secrets(settings, role)


def named_role(environ: Mapping[str, str]) -> Role | None:
    """Return the role that PAYMENTS_MODE names, without a look at any other setting's value. Raises as `load`."""
    _refuse_unknown(environ)
    (setting,) = [one for one in SETTINGS if one.field == "payments_mode"]
    role = _parsed(setting, _text_of(setting, environ))
    assert role is None or isinstance(role, Role)
    return role


def role_from_process() -> Role | None:
    """Return `named_role` of this process's own environment."""
    return named_role(_environ)


def load_from_process(role: Role | None) -> Settings:
    """Return `load` of this process's own environment."""
    return load(_environ, role)


def open_files(environ: Mapping[str, str], role: Role | None) -> tuple[str, ...]:
    """Return those secret settings of a role whose files everybody on this machine may read; `load` has passed them."""
    in_files = _paths_of_secrets(environ)
    ours = [setting.name for setting in SETTINGS if setting.name in in_files and not setting.is_kept_from(role)]
    return tuple(name for name in ours if files.everybody_may_read(in_files[name]))


def open_files_from_process(role: Role | None) -> tuple[str, ...]:
    """Return `open_files` of this process's own environment."""
    return open_files(_environ, role)


def shown(environ: Mapping[str, str]) -> tuple[Shown, ...]:
    """Return every setting in the table's order, secrets masked. Raises Misconfigured as `load` does."""
    load(environ, None)
    in_files = _paths_of_secrets(environ)
    rows = []
    for setting in SETTINGS:
        text, source = _text_of(setting, environ), Source.ENVIRONMENT
        if text is None:
            text, source = setting.default, Source.UNSET if setting.default is None else Source.DEFAULT
        elif setting.name in in_files:
            source = Source.FILE  # the path is shown: whoever looks for the secret has to find it
        elif setting.secret:
            text = setting.masked(text)
        rows.append(Shown(setting.name, text, source, setting.purpose))
    return tuple(rows)


def shown_from_process() -> tuple[Shown, ...]:
    """Return `shown` of this process's own environment."""
    return shown(_environ)


def environment_of_child(own: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment with `own` in place of every setting of ours, for a process we start."""
    names = _names()
    return {name: text for name, text in _environ.items() if name not in names} | dict(own)


def _names() -> set[str]:
    return {name for setting in SETTINGS for name in (setting.name, setting.alias) if name is not None}


def _refuse_unknown(environ: Mapping[str, str]) -> None:
    known = _names()
    for name in sorted(environ):
        if name.startswith(_OURS) and name not in known:
            from difflib import get_close_matches  # noqa: PLC0415  only a misspelt name has to pay for it

            nearest = get_close_matches(name, known, n=1, cutoff=0.8)  # a shared prefix alone is no likeness
            raise Misconfigured(name, "is not a setting" + (f": did you mean {nearest[0]}?" if nearest else ""))


def _text_of(setting: Setting, environ: Mapping[str, str]) -> str | None:
    text = environ.get(setting.name) or None
    if setting.alias is None:
        return text
    other = environ.get(setting.alias) or None
    if text is not None and other is not None and text != other:
        raise Misconfigured(setting.name, f"and {setting.alias} are both set, and differ: keep one")
    return text if text is not None else other


def _paths_of_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the path that each secret setting holds, where secrets stand in files; none where they do not."""
    (source,) = [setting for setting in SETTINGS if setting.field == "secrets_source"]
    if _parsed(source, _text_of(source, environ) or source.default) is not SecretsSource.FILE:
        return {}
    held = {setting.name: _text_of(setting, environ) for setting in SETTINGS if setting.secret}
    return {name: path for name, path in held.items() if path is not None}


def _read(setting: Setting, path: str) -> str:
    try:
        return files.text_in(path)
    except ValueError as refusal:
        raise Misconfigured(setting.name, str(refusal)) from None


def _parsed(setting: Setting, text: str | None) -> object:
    if text is None:
        return setting.absent
    try:
        return setting.parse(text)
    except ValueError as refusal:
        raise Misconfigured(setting.name, str(refusal)) from None


def _refuse_contradictions(settings: Settings, environ: Mapping[str, str]) -> None:
    live = settings.mode is Mode.LIVE
    if settings.smtp_url is not None and settings.mail_from is None:
        raise Misconfigured("MAIL_FROM", "is missing: SMTP_URL is set, and a letter comes from somebody")
    if settings.stripe_key is not None and ("_live_" in settings.stripe_key.reveal()[:8]) != live:
        kind = "test" if live else "live"
        raise Misconfigured("STRIPE_KEY", f"is a {kind} key, and MODE is {settings.mode}")
    if not live:
        return
    if settings.database_url is not None and _effective_sslmode(settings.database_url.reveal(), environ) == "disable":
        raise Misconfigured(
            "DATABASE_URL", "has sslmode=disable, and MODE is live: payments may not travel in the clear"
        )
    if settings.default_payment_method is not None:
        raise Misconfigured("DEFAULT_PAYMENT_METHOD", "is for MODE=test only: in live mode the order names its method")
    if urlsplit(settings.stripe_api_base).scheme != "https":
        raise Misconfigured("STRIPE_API_BASE", "must start with https:// in live mode: the key travels with each call")


def _effective_sslmode(database_url: str, environ: Mapping[str, str]) -> str | None:
    in_url = parse_qs(urlsplit(database_url).query).get("sslmode")
    return in_url[-1] if in_url else environ.get("PGSSLMODE")


def _without_others_secrets(settings: Settings, role: Role | None) -> Settings:
    """Return the settings with the secrets of other roles left out: what a process doesn't hold it can't leak."""
    values: dict[str, Any] = {setting.field: getattr(settings, setting.field) for setting in SETTINGS}
    values |= {setting.field: setting.absent for setting in SETTINGS if setting.is_kept_from(role)}
    return Settings(**values)


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
        default=STRIPE_API_VERSION,
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
