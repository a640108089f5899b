"""Where the mailbox keeps letters: one file for each, named by an id that says when it came. Standard library only."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.errors import MessageError
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Final
from uuid import UUID

FOLDER: Final = "mail"
"""Its name in COUNTERFOIL_HOME."""

MOST_KEPT: Final = 1000
"""What a person may want to look at; the oldest letters make room."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True)
class ReadLetter:
    """A letter as a person reads it; whatever would move a terminal's cursor or turn its writing is replaced."""

    id: UUID
    received_at: datetime
    sender: str
    to: str
    subject: str
    language: str
    text: str
    html: str


class Box:
    """The letters in a folder, which is made where it is not there; it keeps ``most``, the latest."""

    def __init__(self, folder: Path, most: int = MOST_KEPT) -> None:
        self._folder, self._most = folder, most

    def keep(self, letter: bytes, letter_id: UUID) -> None:
        """Keep a letter: whole or not at all, and readable by its owner alone.

        Args:
            letter: as it came.
            letter_id: a fresh UUID of version 7, whose time is the letter's.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        unfinished = self._folder / f"{letter_id}.part"
        unfinished.touch(mode=0o600)
        unfinished.write_bytes(letter)
        unfinished.rename(self._file(letter_id))
        for surplus in self.ids()[self._most :]:
            self._file(surplus).unlink(missing_ok=True)

    def ids(self) -> list[UUID]:
        """Return the ids of all letters, the latest first."""
        return sorted(self._ids(), reverse=True)

    def content(self, letter_id: UUID) -> bytes | None:
        """Return a letter as it came, if it is (still) there."""
        try:
            return self._file(letter_id).read_bytes()
        except FileNotFoundError:
            return None

    def read(self, letter_id: UUID) -> ReadLetter | None:
        """Return a letter to be read, if it is (still) there; parts that nobody can read are empty."""
        content = self.content(letter_id)
        if content is None:
            return None
        message = message_from_bytes(content, policy=default)
        return ReadLetter(
            id=letter_id,
            received_at=_EPOCH + timedelta(milliseconds=letter_id.int >> 80),
            sender=_header(message, "From"),
            to=_header(message, "To"),
            subject=_header(message, "Subject"),
            language=_header(message, "Content-Language"),
            text=printable(_part(message, "plain")),
            html=_part(message, "html"),
        )

    def _file(self, letter_id: UUID) -> Path:
        return self._folder / f"{letter_id}.eml"

    def _ids(self) -> Iterator[UUID]:
        for path in self._folder.glob("*.eml"):
            try:
                yield UUID(path.stem)
            except ValueError:
                continue  # somebody else's file


def printable(text: str) -> str:
    """Return a text in which nothing but letters and line breaks is left that could do something to a terminal."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n").replace("\t", "    "))


def _header(message: EmailMessage, name: str) -> str:
    try:
        return printable(str(message[name] or "")).replace("\n", " ").strip()
    except (MessageError, ValueError, IndexError, AttributeError, TypeError):  # its parser has met stranger things
        return ""


def _part(message: EmailMessage, kind: str) -> str:
    try:
        body = message.get_body((kind,))
        return str(body.get_content()) if body is not None else ""
    except (MessageError, LookupError, ValueError, AttributeError, TypeError):
        return ""
