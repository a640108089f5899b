"""Letters reach a real mail server, or it is said why not."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.certificates import certificate
from tests.mail_server import MailServer, Mood, mail_server
from tests.stage import free_port

from counterfoil.domain.effects import Outcome, Told
from counterfoil.mail.courier import Courier
from counterfoil.mail.letters import Letter
from counterfoil.runtime.secret import Secret

LETTER = Letter(
    "orders@shop.example", "kim@customer.example", b"Subject: x\r\nMessage-ID: <1.receipt@x>\r\n\r\n.dots\r\n.\r\n"
)


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    """A mail server that takes letters until it is told otherwise."""
    async with mail_server() as server:
        yield server


async def deliver(url: str, *, may_send: bool = True, patience_seconds: float = 20.0) -> Told:
    courier = Courier(Secret(url), patience_seconds=patience_seconds)
    return await courier.deliver(LETTER, lambda: may_send)


async def test_a_letter_arrives_as_it_was_written(server: MailServer) -> None:
    """To the byte, lines that begin with a dot among it, which SMTP writes in its own way."""
    assert await deliver(server.url) == Told(Outcome.ACCEPTED)
    assert (server.kept, server.recipients) == ([LETTER.content], ["kim@customer.example"])


@pytest.mark.parametrize(
    ("mood", "told"),
    [
        (Mood.REFUSES, Told(Outcome.FAILED, "the mail server refuses the letter (452)")),
        (Mood.KNOWS_NOBODY, Told(Outcome.REFUSED, "the mail server refuses the recipient (550)")),
        (Mood.GREYLISTS, Told(Outcome.FAILED, "the mail server refuses the recipient (451)")),
        (Mood.DIES, Told(Outcome.FAILED, "the mail server hung up")),
        (Mood.DIES_LATER, Told(Outcome.FAILED, "the mail server hung up")),
    ],
)
async def test_what_a_server_says_is_told_without_the_address(server: MailServer, mood: Mood, told: Told) -> None:
    """Only a recipient refused for good is not tried again; the server's own words, which hold the address, are not."""
    server.mood = mood
    assert await deliver(server.url) == told


async def test_a_server_that_is_silent_is_left(server: MailServer) -> None:
    """It has the whole letter and says nothing: our patience ends, and what came of it is not known."""
    server.mood = Mood.HANGS
    told = await deliver(server.url, patience_seconds=0.5)
    assert told == Told(Outcome.FAILED, "the mail server does not answer in time")


async def test_a_server_that_is_not_there_is_told() -> None:
    """Nothing listens at that port."""
    told = await deliver(f"smtp://127.0.0.1:{free_port()}")
    assert told == Told(Outcome.FAILED, "the mail server cannot be reached (ConnectionRefusedError)")


async def test_whoever_lost_the_claim_sends_nothing(server: MailServer) -> None:
    """Between connecting and sending the claim may have run out; another one sends then."""
    told = await deliver(server.url, may_send=False)
    assert (told.outcome, server.kept) == (Outcome.FAILED, [])


async def test_a_name_and_password_are_shown_to_who_asks() -> None:
    """Written in the address, as addresses write them: %20 is a space. A wrong one is said, and is not repeated."""
    async with mail_server(wants_password=True) as server:
        right = server.url.replace("//", "//counterfoil:s3cret%20p%2Fss@")
        assert await deliver(right) == Told(Outcome.ACCEPTED)
        told = await deliver(right.replace("s3cret", "hunter2"))
        assert told == Told(Outcome.FAILED, "the mail server does not take our name and password (535)")
        assert len(server.kept) == 1


@pytest.mark.parametrize("scheme", ["smtp+starttls", "smtps"])
async def test_what_is_to_be_encrypted_never_travels_in_the_clear(server: MailServer, scheme: str) -> None:
    """A server without encryption gets nothing."""
    told = await deliver(server.url.replace("smtp", scheme), patience_seconds=5.0)
    assert (told.outcome, server.kept, server.begun.is_set()) == (Outcome.FAILED, [], False)


ENCRYPTED = ["smtps", "smtp+starttls", "smtp"]


@pytest.mark.parametrize("scheme", ENCRYPTED)
async def test_an_encrypted_letter_arrives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    """From the first byte, from STARTTLS on, and where the server merely offers it: name, password, letter."""
    ours = certificate(tmp_path, "ours")
    monkeypatch.setenv("SSL_CERT_FILE", str(ours.file))
    async with mail_server(wants_password=True, scheme=scheme, shows=ours.shown()) as server:
        told = await deliver(server.url.replace("//", "//counterfoil:s3cret%20p%2Fss@"))

        assert (told, server.kept, server.encrypted) == (Told(Outcome.ACCEPTED), [LETTER.content], [True])


WRONG = {
    "of-a-stranger": ("IP:127.0.0.1", "self-signed certificate"),
    "of-another-host": ("DNS:mail.example", "IP address mismatch, certificate is not valid for '127.0.0.1'"),
}
"""What is wrong with a certificate: whose it is, and what is said of it."""


@pytest.mark.parametrize("scheme", ENCRYPTED)
@pytest.mark.parametrize("wrong", WRONG)
async def test_a_wrong_certificate_gets_no_letter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str, wrong: str
) -> None:
    """Nothing goes to who cannot prove to be the server. Somebody will mend it, so the letter is tried again."""
    of, why = WRONG[wrong]
    shown = certificate(tmp_path, "shown", of)
    trusted = certificate(tmp_path, "ours") if wrong == "of-a-stranger" else shown
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted.file))
    async with mail_server(scheme=scheme, shows=shown.shown()) as server:
        told = await deliver(server.url)

        assert told == Told(Outcome.FAILED, f"the mail server shows a certificate that is not good ({why})")
        assert (server.kept, server.begun.is_set()) == ([], False)
