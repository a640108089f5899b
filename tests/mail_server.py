"""A mail server of the tests' own, by somebody else's library: it takes letters, or behaves as mail servers do."""

import asyncio
import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from enum import Enum, auto

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

PASSWORD = LoginPassword(b"counterfoil", b"s3cret p/ss")


class Mood(Enum):
    """What it does with a letter."""

    TAKES = auto()
    REFUSES = auto()  # the letter, for now
    KNOWS_NOBODY = auto()  # refuses the recipient, for good
    GREYLISTS = auto()  # refuses the recipient, for now
    HANGS = auto()  # behind the last line of the letter
    DIES = auto()  # it has read the letter, and keeps nothing
    DIES_LATER = auto()  # it has kept the letter, and says so to nobody


@dataclass
class MailServer:
    """Where it is, how it behaves from now on, and what it has kept, in order."""

    url: str = ""
    mood: Mood = Mood.TAKES
    kept: list[bytes] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    def letters(self) -> list[EmailMessage]:
        """Return what it has kept, read."""
        return [message_from_bytes(letter, policy=default) for letter in self.kept]

    def kinds(self) -> list[str]:
        """Return which payment and effect each kept letter is about, sorted."""
        return sorted(str(letter["Message-ID"]).strip("<>").partition("@")[0] for letter in self.letters())

    async def handle_RCPT(  # noqa: N802 - the library's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Answer who a letter is for; the answers repeat the address, as many servers' do."""
        refusals = {Mood.KNOWS_NOBODY: "550 5.1.1 <%s>: unknown", Mood.GREYLISTS: "451 4.7.1 <%s>: come back later"}
        if self.mood in refusals:
            return refusals[self.mood] % address
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - the same
        """Answer a letter."""
        self.begun.set()
        assert isinstance(envelope.content, bytes)
        if self.mood is Mood.REFUSES:
            return "452 4.3.1 no space left"
        if self.mood is Mood.HANGS:
            await asyncio.Event().wait()
        if self.mood is not Mood.DIES:
            self.kept.append(envelope.content)
            self.encrypted.append(_is_encrypted(server))
            self.recipients += envelope.rcpt_tos
        if self.mood in (Mood.DIES, Mood.DIES_LATER):
            _cut(server)
        return "250 kept"


@asynccontextmanager
async def mail_server(
    *, wants_password: bool = False, scheme: str = "smtp", shows: ssl.SSLContext | None = None
) -> AsyncIterator[MailServer]:
    """Yield a mail server at work; whatever connection it has is cut at the end.

    Args:
        wants_password: takes letters from those alone who show ``PASSWORD``.
        scheme: how it is spoken to, as in SMTP_URL; with ``smtps`` encrypted from the first byte.
        shows: the certificate of a server that encrypts, which it offers to do, and with ``smtp+starttls`` demands.
    """
    at_once = shows if scheme == "smtps" else None
    kept = MailServer()
    begun: list[SMTP] = []

    def knows(_server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, shown: object) -> AuthResult:
        return AuthResult(success=shown == PASSWORD, handled=False)  # the library answers

    def connection() -> SMTP:
        with warnings.catch_warnings(action="ignore"):  # that a password travels in the clear: on this machine alone
            begun.append(
                SMTP(
                    kept,
                    hostname="mail.example",
                    loop=asyncio.get_running_loop(),
                    auth_required=wants_password,
                    auth_require_tls=False,
                    authenticator=knows,
                    tls_context=None if at_once else shows,
                    require_starttls=scheme == "smtp+starttls",
                )
            )
        return begun[-1]

    listener = await asyncio.get_running_loop().create_server(connection, "127.0.0.1", 0, ssl=at_once)
    kept.url = f"{scheme}://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    try:
        yield kept
    finally:
        listener.close()
        for one in begun:
            _cut(one)
        await listener.wait_closed()
        await asyncio.sleep(0)  # those that hang hear of it


def _cut(connection: SMTP) -> None:
    if isinstance(connection.transport, asyncio.Transport):
        connection.transport.abort()


def _is_encrypted(connection: SMTP) -> bool:
    return connection.transport is not None and connection.transport.get_extra_info("sslcontext") is not None
