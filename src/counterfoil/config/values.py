"""How the text of a setting becomes its value. Each raises ValueError, whose words follow the setting's name."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from ipaddress import ip_address
from types import MappingProxyType
from urllib.parse import parse_qs, urlsplit

from counterfoil.runtime.secret import Secret

STRIPE_API_VERSION = "2024-06-20"
"""The only version spoken: event and object shapes are read as this version has them."""

WEBHOOK_SECRETS_MAX = 3
"""Old, current and next: all that a rotation needs. Each costs one HMAC per delivery."""

_PORT_MAX = 65535
_RATE_MIN, _RATE_MAX = 25, 100_000  # Stripe's least; more than any machine of ours sends
_RISK_MAX = 100
_UNITS = {"s": timedelta(seconds=1), "min": timedelta(minutes=1), "h": timedelta(hours=1)}
_DURATION_MAX = timedelta(hours=24)
_LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_ADDRESS = rf"{_ATOM}(?:\.{_ATOM})*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*"
_SENDER = re.compile(rf'{_ADDRESS}|[^<>"\x00-\x1f\x7f]*<{_ADDRESS}>')


def one_of(choices: type[StrEnum]) -> Callable[[str], object]:
    """Return the parser of a setting that is one of these words."""

    def parse(text: str) -> object:
        try:
            return choices(text)
        except ValueError:
            raise ValueError(f"must be one of: {', '.join(choices)}") from None

    return parse


def port(text: str) -> int:
    """Return a port, 1 to 65535."""
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= _PORT_MAX:
        raise ValueError("must be a port, 1 to 65535")
    return int(text)


def duration(text: str) -> timedelta:
    """Return a time from 1 s to 24 h."""
    found = re.fullmatch(r"([0-9]{1,5}) ?(s|min|h)", text)
    if not found:
        raise ValueError("must be a number and its unit: s, min or h")
    lasts = int(found[1]) * _UNITS[found[2]]
    if not timedelta(seconds=1) <= lasts <= _DURATION_MAX:
        raise ValueError("must be at least 1 s and at most 24 h")
    return lasts


def risk_score(text: str) -> int:
    """Return a risk score, 1 to 100."""
    if not re.fullmatch(r"[0-9]{1,3}", text) or not 1 <= int(text) <= _RISK_MAX:
        raise ValueError("must be a whole number, 1 to 100")
    return int(text)


def rate(text: str) -> int:
    """Return so many requests a second, 25 to 100000."""
    if not re.fullmatch(r"[0-9]{1,6}", text) or not _RATE_MIN <= int(text) <= _RATE_MAX:
        raise ValueError(f"must be a whole number of requests a second, {_RATE_MIN} to {_RATE_MAX}")
    return int(text)


def host(text: str) -> str:
    """Return an IP address."""
    try:
        return str(ip_address(text))
    except ValueError:
        raise ValueError("must be an IP address") from None


def hosts(text: str) -> tuple[str, ...]:
    """Return host names, in lower case."""
    named = tuple(name.strip().lower() for name in text.split(","))
    if not all(re.fullmatch(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?|\[[0-9a-f:.]+\]", name) for name in named):
        raise ValueError("must be host names with commas between them, without ports")
    return named


def brokers(text: str) -> str:
    """Return addresses of brokers, each with its port."""
    named = [name.strip() for name in text.split(",")]
    for name in named:
        found = re.fullmatch(r"([A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})", name)
        if not found or not 1 <= int(found[3]) <= _PORT_MAX:
            raise ValueError("must be host:port, with commas between several")
    return ",".join(named)


def kafka_config(text: str) -> Mapping[str, Secret]:
    """Return what librdkafka is to know of TLS and SASL, from a JSON object; the rest of its settings is ours."""
    try:
        given = json.loads(text)
    except ValueError:
        raise ValueError('must be a JSON object such as {"security.protocol": "SASL_SSL"}') from None
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise ValueError('must be a JSON object of texts such as {"security.protocol": "SASL_SSL"}')
    if not all(re.fullmatch(r"(security|sasl|ssl)\.[a-z.]+", name) for name in given):
        raise ValueError("may name what begins with security., sasl. or ssl. only")
    return MappingProxyType({name: Secret(value) for name, value in given.items()})


def url(text: str) -> str:
    """Return an http or https address without a slash at its end."""
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or not is_plain(text):
        raise ValueError("must be an address that starts with http:// or https://")
    if parts.port == 0:  # reading it also raises ValueError for what is no port
        raise ValueError("must not have the port 0")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold a user name or password")
    return text.rstrip("/")


def secure_url(text: str) -> str:
    """Return such an address that is https, unless it is on this machine."""
    address = url(text)
    if urlsplit(address).scheme == "http" and urlsplit(address).hostname not in _LOOPBACK_HOSTS:
        raise ValueError("must start with https:// unless it is on this machine")
    return address


def database_url(text: str) -> Secret:
    """Return PostgreSQL's address, which may hold a password."""
    parts = urlsplit(text)
    if parts.scheme not in {"postgresql", "postgres"} or not is_plain(text):
        raise ValueError("must be an address that starts with postgresql://")
    sslmode = parse_qs(parts.query).get("sslmode", ["prefer"])[-1]
    if sslmode not in {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}:
        raise ValueError("has an sslmode that PostgreSQL does not know")
    return Secret(text)


def masked_url(text: str) -> str:
    """Return an address without its password."""
    return re.sub(r"(?<=password=)[^&]*", "…", re.sub(r"://([^:/?#@]*):.*@", r"://\1:…@", text))


def smtp_url(text: str) -> Secret:
    """Return a mail server's address, which may hold a password."""
    parts = urlsplit(text)
    if parts.scheme not in {"smtp", "smtp+starttls", "smtps"} or not parts.hostname or not is_plain(text):
        raise ValueError("must be an address that starts with smtp://, smtp+starttls:// or smtps://")
    try:
        named = parts.port
    except ValueError:  # its words hold what stands there, which may be half a password
        named = 0
    if named == 0 or parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise ValueError("must hold a name and password, a host and a port, and nothing else (%2F is a slash)")
    if parts.scheme == "smtp" and parts.password is not None and parts.hostname not in _LOOPBACK_HOSTS:
        raise ValueError("holds a password that would travel in the clear: use smtp+starttls:// or smtps://")
    return Secret(text)


def sender(text: str) -> str:
    """Return whom mail comes from."""
    if not _SENDER.fullmatch(text.strip()):
        raise ValueError("must be an address, or a name and an address: Shop <orders@shop.example>")
    return text.strip()


def stripe_key(text: str) -> Secret:
    """Return a secret or restricted key of Stripe."""
    if not is_plain(text):
        raise ValueError("holds a space, a line break or another character that no key has")
    if not re.fullmatch(r"[sr]k_(test|live)_[A-Za-z0-9_]+", text):
        raise ValueError("must be a secret or restricted key of Stripe: sk_test_…, rk_test_…, sk_live_… or rk_live_…")
    return Secret(text)


def api_version(text: str) -> str:
    """Return the one version that is spoken."""
    if text != STRIPE_API_VERSION:
        raise ValueError(f"must be {STRIPE_API_VERSION}, the version that answers and events are read in")
    return text


@dataclass(frozen=True, slots=True)
class SigningSecret:
    """What notices are signed with, and until when that is good (None: for as long as it is set)."""

    secret: Secret
    not_after: datetime | None = None

    def is_good(self, now: datetime) -> bool:
        """Say whether what it has signed is still taken."""
        return self.not_after is None or now <= self.not_after

    def written(self) -> str:
        """Return it as the setting has it, for the environment of a process that we start."""
        return self.secret.reveal() + ("" if self.not_after is None else f" until {self.not_after.isoformat()}")


def webhook_secrets(text: str) -> tuple[SigningSecret, ...]:
    """Return signing secrets, in their order; each may say until when it is good."""
    parts = [part.strip(" ") for part in text.split(",")]
    if len(parts) > WEBHOOK_SECRETS_MAX:
        raise ValueError(f"holds {len(parts)} secrets: at most {WEBHOOK_SECRETS_MAX} (old, current, next)")
    secrets = [_signing_secret(part, position) for position, part in enumerate(parts, start=1)]
    if len({one.secret for one in secrets}) != len(secrets):
        raise ValueError("holds the same secret twice")
    return tuple(secrets)


def _signing_secret(text: str, position: int) -> SigningSecret:
    secret, until, end = text.partition(" until ")
    if not re.fullmatch(r"whsec_[^\s,]{16,}", secret):
        raise ValueError(f"must be whsec_… with at least 16 characters after it (number {position} is not)")
    if not until:
        return SigningSecret(Secret(secret))
    try:
        not_after = datetime.fromisoformat(end.strip(" "))
    except ValueError:
        not_after = None
    if not_after is None or not_after.tzinfo is None:
        raise ValueError(f"must say until when as 2026-12-01T12:00:00Z (number {position} does not)")
    return SigningSecret(Secret(secret), not_after)


def payment_method(text: str) -> str:
    """Return the id of a payment method or token."""
    if not re.fullmatch(r"(pm|tok|card|src)_[A-Za-z0-9_]+", text):
        raise ValueError("must be the id of a payment method or token: pm_…, tok_…, card_… or src_…")
    return text


def token(text: str) -> Secret:
    """Return a bearer token."""
    if not is_plain(text):
        raise ValueError("holds a space, a line break or another character that no token has")
    return Secret(text)


def is_plain(text: str) -> bool:
    """Say whether a text is printable ASCII without spaces: anything else could end or split a header line."""
    return re.fullmatch(r"[!-~]+", text) is not None
