"""What customers read: a letter in their language, as text and as HTML.

Everything that others wrote (an item's name, an order's id) goes through the templates' escaping into HTML, and through
the `email` package into headers, where no line can end early. The same occasion gives the same bytes, its Message-ID
among them: whoever gets a letter twice, because it was not known whether it had arrived, can tell.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from types import MappingProxyType
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from counterfoil.domain.effects import EffectKind, Occasion
from counterfoil.domain.states import PaymentState

FALLBACK: Final = "en"
"""For a customer whose language we have no templates in, or do not know."""

_TEMPLATES: Final = Path(__file__).parent / "templates"
LANGUAGES: Final = frozenset(folder.name for folder in _TEMPLATES.iterdir() if folder.is_dir())

_SENDER: Final = re.compile(r"(?:(?P<name>[^<>]*)<)?(?P<address>[^<>\s]+@[^<>\s]+?)>?")
_NAMES: Final[Mapping[EffectKind, str]] = MappingProxyType(
    {EffectKind.RECEIPT: "receipt", EffectKind.CUSTOMER_NOTICE: "notice"},
)


class UnusableAddressError(Exception):
    """No letter can be addressed to this; it is not repeated here, for it is a person's."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter ready to be sent: the two addresses of its envelope, and all that is inside, byte for byte."""

    sender: str
    recipient: str
    content: bytes


class Writer:
    """Writes letters.

    Args:
        sender: whom they come from: an address, or a name and an address in angle brackets.
        public_url: where this installation is reached from outside; without it no letter holds a link.
    """

    def __init__(self, sender: str, public_url: str | None) -> None:
        found = _SENDER.fullmatch(sender.strip())
        assert found is not None, "the settings were checked"
        name = (found["name"] or "").strip().strip('"')
        self._from = Address(display_name=name, addr_spec=found["address"])
        self._public_url = public_url
        self._templates = Environment(
            loader=FileSystemLoader(_TEMPLATES),
            autoescape=select_autoescape(("html",)),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def letter(self, occasion: Occasion) -> Letter:
        """Return the letter for an occasion.

        Raises:
            UnusableAddressError: the customer's address is none that a letter could go to.
        """
        to = _address(occasion.address)
        language = language_of(occasion.locale)
        values = {
            "occasion": occasion,
            "amount": occasion.money.format(),
            "on": occasion.began_at.date().isoformat(),
            "canceled": occasion.state is PaymentState.CANCELED,
            "link": self._link(occasion),
            "language": language,
            "shop": self._from.display_name,
        }
        name = _NAMES[occasion.kind]
        subject, _, text = self._templates.get_template(f"{language}/{name}.txt").render(values).partition("\n")
        html = self._templates.get_template(f"{language}/{name}.html").render(values)
        mark = f"{occasion.payment_id}.{name}"
        message = EmailMessage(policy=SMTP)
        message["From"] = self._from
        message["To"] = to
        message["Subject"] = " ".join(subject.split())
        message["Date"] = occasion.began_at
        message["Message-ID"] = f"<{mark}@{self._from.domain}>"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no machine is to answer
        message.set_content(text.lstrip("\n"), cte="quoted-printable")
        message.add_alternative(html, subtype="html", cte="quoted-printable")
        message["Content-Language"] = language
        message.set_boundary(f"=_{mark}")
        return Letter(self._from.addr_spec, to.addr_spec, message.as_bytes())

    def _link(self, occasion: Occasion) -> str | None:
        if self._public_url is None or not occasion.may_try_again:
            return None
        return f"{self._public_url}/try-again/{occasion.payment_id}"


def language_of(locale: str | None) -> str:
    """Return the language, of those there are templates in, for a locale such as ``de-AT``."""
    spoken = (locale or "").partition("-")[0].lower()
    return spoken if spoken in LANGUAGES else FALLBACK


def _address(text: str) -> Address:
    """Return a customer's address, its domain as the domain name system writes it (RFC 5891).

    What would be read as more, or as something else, than one address is none; nor is one with other letters than
    ASCII before the @, which few servers deliver to (RFC 6531).
    """
    name, _, domain = text.rpartition("@")
    try:
        plain = f"{name}@{domain.encode('idna').decode('ascii')}"
        address = Address(addr_spec=plain)
    except (ValueError, IndexError, MessageError):
        raise UnusableAddressError from None
    if address.addr_spec != plain:  # a comment was left out of it
        raise UnusableAddressError
    return address
