"""Tokens of the gateway. The typed side of ``sql/tokens.sql``; only hashes are kept."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum, unique
from typing import Final

import asyncpg

from counterfoil.domain.errors import InvalidRequest, NotFound
from counterfoil.runtime.ids import secret_text
from counterfoil.runtime.secret import Secret
from counterfoil.store import queries
from counterfoil.store.pool import Connection, Pool

_SQL: Final = queries.load("tokens")


@unique
class Scope(StrEnum):
    """What a token lets its bearer do."""

    CHARGE = "charge"
    REFUND = "refund"
    READ = "read"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it may be shown."""

    name: str
    scopes: frozenset[Scope]
    created_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class Bearer:
    """Who calls, and what that service may do."""

    name: str
    scopes: frozenset[Scope]


def digest(token: str) -> bytes:
    """Return what is kept of a token. It is 256 random bits, so a plain hash is enough: there is nothing to guess."""
    return hashlib.sha256(token.encode()).digest()


async def create(connection: Connection, name: str, scopes: Iterable[Scope], now: datetime) -> Secret:
    """Make a token and return it; it can never be shown again.

    Raises:
        InvalidRequest: another token has that name.
    """
    token = Secret(secret_text("cft_"))
    granted = sorted(scope.value for scope in set(scopes))
    try:
        await connection.execute(_SQL.create, name, digest(token.reveal()), granted, now)
    except asyncpg.UniqueViolationError:
        raise InvalidRequest("name", "is taken by another token; revoked tokens keep their names") from None
    return token


async def revoke(connection: Connection, name: str, now: datetime) -> None:
    """End a token: every gateway forgets it within a minute.

    Raises:
        NotFound: no token that is still good has that name.
    """
    if await connection.fetchval(_SQL.revoke, name, now) is None:
        raise NotFound("token")


async def listed(connection: Connection) -> list[Token]:
    """Return every token there ever was, by name."""
    records = await connection.fetch(_SQL.listed)
    return [
        Token(record["name"], _scopes(record["scopes"]), record["created_at"], record["revoked_at"])
        for record in records
    ]


async def good(connection: Connection | Pool) -> dict[bytes, Bearer]:
    """Return those who may call, by the digest of their token."""
    records = await connection.fetch(_SQL.good)
    return {record["hash"]: Bearer(record["name"], _scopes(record["scopes"])) for record in records}


def _scopes(texts: Iterable[str]) -> frozenset[Scope]:
    return frozenset(Scope(text) for text in texts)
