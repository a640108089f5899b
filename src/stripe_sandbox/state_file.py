"""What the sandbox holds, in a file that survives restarts: one SQLite table of JSON by container and key.

A killed process loses nothing that was committed. A machine that loses power may: waiting for the disk with each
answer would cost more than a sandbox is worth.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from stripe_sandbox.kept import Container

VERSION: Final = 1
"""Of the table and of what stands in it; raised when an older sandbox could not read it."""

MARK: Final = 0x53B0
"""SQLite's `application_id`: tells a file of ours from somebody else's database."""

SCHEMA: Final = """
CREATE TABLE kept (
    place INTEGER PRIMARY KEY,
    container TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    UNIQUE (container, key)
)
"""
PUT: Final = """
INSERT INTO kept (container, key, value) VALUES (?, ?, ?)
ON CONFLICT (container, key) DO UPDATE SET value = excluded.value
"""
"""A changed entry keeps its place, so that lists keep their order."""


class UnusableFileError(Exception):
    """The file cannot be used; the message says why and what to do."""


class StateFile:
    """An open file of state, which no other sandbox can open meanwhile.

    Raises:
        UnusableFileError: it is no such file, is in use, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._connection = sqlite3.connect(path, isolation_level=None, timeout=0)
            for setting in ("locking_mode = EXCLUSIVE", "synchronous = OFF"):
                self._connection.execute(f"PRAGMA {setting}")
            self._connection.execute("BEGIN EXCLUSIVE")
            self._check()
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise UnusableFileError(self._sentence(error)) from error

    def load(self, containers: Mapping[str, Container]) -> bool:
        """Fills containers with what was written down; whether there was anything.

        Raises:
            UnusableFileError: the file knows a container that this sandbox does not.
        """
        found = False
        for container, key, value in self._rows():
            if container not in containers:
                raise UnusableFileError(f"{self._path} was written by another version: it holds {container}.")
            containers[container].restore(key, json.loads(value))
            found = True
        return found

    def save(self, containers: Mapping[str, Container]) -> None:
        """Writes down what changed, all of it or nothing.

        Raises:
            UnusableFileError: it could not be written; the changes are still to be.
        """
        put: list[tuple[str, str, str]] = []
        gone: list[tuple[str, str]] = []
        for name, container in containers.items():
            for key, value in container.changes():
                if value is None:
                    gone.append((name, key))
                else:
                    put.append((name, key, value))
        if not put and not gone:
            return
        try:
            with self._connection:
                self._connection.execute("BEGIN")
                self._connection.executemany(PUT, put)
                self._connection.executemany("DELETE FROM kept WHERE container = ? AND key = ?", gone)
        except sqlite3.Error as error:
            raise UnusableFileError(self._sentence(error)) from error
        for container in containers.values():
            container.written()

    def clear(self) -> None:
        """Forgets everything."""
        self._connection.execute("DELETE FROM kept")

    def close(self) -> None:
        """Lets another sandbox have it."""
        self._connection.close()

    def _check(self) -> None:
        (mark,) = self._connection.execute("PRAGMA application_id").fetchone()
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        (tables,) = self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if tables == 0:
            self._connection.execute(SCHEMA)
            self._connection.execute(f"PRAGMA application_id = {MARK}")
            self._connection.execute(f"PRAGMA user_version = {VERSION}")
        elif mark != MARK:
            raise UnusableFileError(f"{self._path} is a database of something else; choose another file.")
        elif version != VERSION:
            raise UnusableFileError(f"{self._path} was written by another version ({version}); choose another file.")

    def _rows(self) -> Iterator[tuple[str, str, str]]:
        return iter(self._connection.execute("SELECT container, key, value FROM kept ORDER BY place"))

    def _sentence(self, error: sqlite3.Error) -> str:
        match error.sqlite_errorname:
            case "SQLITE_BUSY":
                return f"{self._path} is in use by another sandbox."
            case "SQLITE_NOTADB":
                return f"{self._path} is no file of this sandbox's; choose another."
            case _:
                return f"{self._path} cannot be used: {error}."
