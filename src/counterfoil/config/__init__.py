"""Settings: read once from the environment, checked, and handed down as one frozen value.

`SETTINGS` is the table: a name that is not in it and starts like one of ours is refused, because a misspelt
setting that is silently ignored is found only when it was needed. Standard library only: every command of the
command line imports this module.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from os import environ as _environ
from typing import Any
from urllib.parse import parse_qs, urlsplit

from counterfoil.config import files
from counterfoil.config.kinds import ROLES_OF_UP as ROLES_OF_UP
from counterfoil.config.kinds import STRIPE_API_BASE as STRIPE_API_BASE
from counterfoil.config.kinds import FraudScreening as FraudScreening
from counterfoil.config.kinds import LogLevel as LogLevel
from counterfoil.config.kinds import Mode as Mode
from counterfoil.config.kinds import Role as Role
from counterfoil.config.kinds import SecretsSource as SecretsSource
from counterfoil.config.kinds import Settings as Settings
from counterfoil.config.kinds import StripeDriver as StripeDriver
from counterfoil.config.sources import OutboxSource as OutboxSource
from counterfoil.config.sources import written_sources as written_sources
from counterfoil.config.table import SETTINGS as SETTINGS
from counterfoil.config.table import Setting as Setting
from counterfoil.config.values import STRIPE_API_VERSION as STRIPE_API_VERSION
from counterfoil.config.values import SigningSecret as SigningSecret
from counterfoil.domain.errors import Misconfigured

_OURS = ("COUNTERFOIL_", "STRIPE_")


class Source(StrEnum):
    """Where a setting's value came from."""

    ENVIRONMENT = "environment"
    FILE = "file"
    DEFAULT = "default"
    UNSET = "unset"


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
    _refuse_contradictions(settings, environ, role)
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


def _refuse_contradictions(settings: Settings, environ: Mapping[str, str], role: Role | None) -> None:
    live = settings.mode is Mode.LIVE
    if settings.smtp_url is not None and settings.mail_from is None:
        raise Misconfigured("MAIL_FROM", "is missing: SMTP_URL is set, and a letter comes from somebody")
    if settings.outbox_sources and settings.kafka_brokers is None and role is not None:  # `up --kafka` starts a Kafka
        raise Misconfigured("KAFKA_BROKERS", "is missing: OUTBOX_SOURCES is set, and its rows are for Kafka")
    if settings.stripe_key is not None and ("_live_" in settings.stripe_key.reveal()[:8]) != live:
        kind = "test" if live else "live"
        raise Misconfigured("STRIPE_KEY", f"is a {kind} key, and MODE is {settings.mode}")
    if not live:
        return
    if settings.database_url is not None and _effective_sslmode(settings.database_url.reveal(), environ) == "disable":
        raise Misconfigured(
            "DATABASE_URL", "has sslmode=disable, and MODE is live: payments may not travel in the clear"
        )
    urls = [one.database_url.reveal() for one in settings.outbox_sources if one.database_url is not None]
    if any(_effective_sslmode(one, environ) == "disable" for one in urls):
        raise Misconfigured("OUTBOX_SOURCES", "has a database with sslmode=disable, and MODE is live")
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
