"""How a letter reaches a mail server, by SMTP.

A letter counts as sent when the server has said so after its last line (RFC 5321, section 4.2.5: it is the server's
from then on). Where the connection ends before that word nobody knows, and it is sent again: the same letter, with the
same Message-ID.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Final
from urllib.parse import unquote, urlsplit

import aiosmtplib

from counterfoil.domain.effects import Outcome, Told
from counterfoil.mail.letters import Letter
from counterfoil.runtime.secret import Secret

DELIVERY_SECONDS: Final = 30.0
"""Longer than any server takes that is well, and a quarter of the claim under which a letter is sent."""

GOODBYE_SECONDS: Final = 1.0
"""The letter is delivered; a server that is slow to say goodbye is left."""

PORTS: Final = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}

_FIRST_FOR_GOOD: Final = 500


class Courier:
    """Takes letters to one mail server, each on a connection of its own.

    Args:
        url: ``smtp://`` (encrypted where the server offers it), ``smtp+starttls://`` (encrypted, or not at all) or
            ``smtps://`` (encrypted from the first byte); a name and password where the server wants them.
    """

    def __init__(self, url: Secret, *, patience_seconds: float = DELIVERY_SECONDS) -> None:
        self._url = urlsplit(url.reveal())
        self._patience_seconds = patience_seconds

    async def deliver(self, letter: Letter, may_send: Callable[[], bool]) -> Told:
        """Deliver a letter and return what came of it. Never raises for what the server or the network does.

        Args:
            letter: what to deliver.
            may_send: asked right before the letter is handed over; whoever lost the claim meanwhile sends nothing.
        """
        client = self._client()
        try:
            async with asyncio.timeout(self._patience_seconds):
                await client.connect()
                if not may_send():
                    return Told(Outcome.FAILED, "it took too long to reach the mail server")
                await client.sendmail(letter.sender, [letter.recipient], letter.content)
        except (aiosmtplib.SMTPException, OSError, TimeoutError, ValueError) as error:
            return _told_by(error)
        finally:
            await self._leave(client)
        return Told(Outcome.ACCEPTED)

    def _client(self) -> aiosmtplib.SMTP:
        url = self._url
        return aiosmtplib.SMTP(
            hostname=url.hostname,
            port=url.port or PORTS[url.scheme],
            username=unquote(url.username) if url.username else None,
            password=unquote(url.password) if url.password else None,
            use_tls=url.scheme == "smtps",
            start_tls={"smtp": None, "smtp+starttls": True, "smtps": False}[url.scheme],
            timeout=self._patience_seconds,
            local_hostname=socket.gethostname(),  # the library would ask the domain name system for it
        )

    async def _leave(self, client: aiosmtplib.SMTP) -> None:
        with suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
            if client.is_connected:
                async with asyncio.timeout(GOODBYE_SECONDS):
                    await client.quit()
        client.close()


def _told_by(error: Exception) -> Told:
    """Return what an error means. A server's own words are left out: it likes to repeat the address in them."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        code = max(refusal.code for refusal in error.recipients)
        outcome = Outcome.REFUSED if code >= _FIRST_FOR_GOOD else Outcome.FAILED
        return Told(outcome, f"the mail server refuses the recipient ({code})")
    cause = _cause_of(error)
    if isinstance(cause, ssl.SSLCertVerificationError):  # which is a ValueError too, and no fault of the customer's
        why = cause.verify_message.rstrip(".")
        return Told(Outcome.FAILED, f"the mail server shows a certificate that is not good ({why})")
    if isinstance(error, ValueError):
        return Told(Outcome.REFUSED, "no letter can be addressed to this customer")
    return Told(Outcome.FAILED, f"the mail server {_fault_of(error)}")


def _fault_of(error: Exception) -> str:
    match error:
        case aiosmtplib.SMTPAuthenticationError():
            return f"does not take our name and password ({error.code})"
        case aiosmtplib.SMTPResponseException():
            return f"refuses the letter ({error.code})"
        case aiosmtplib.SMTPTimeoutError() | TimeoutError():
            return "does not answer in time"
        case aiosmtplib.SMTPServerDisconnected():
            return "hung up"
        case _:
            return f"cannot be reached ({type(_cause_of(error)).__name__})"


def _cause_of(error: BaseException) -> BaseException:
    """Return what is behind an error, for a library wraps what happened to its connection."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error
