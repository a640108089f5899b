"""What orders usually ask for. The typed side of ``sql/amounts.sql``."""

from collections.abc import Mapping
from typing import Final

from counterfoil.store import queries
from counterfoil.store.pool import Connection, Pool

_SQL: Final = queries.load("amounts")

LATEST: Final = 50_000
"""Payments that count: a day of a busy shop, read in the tenth of a second."""

FEWEST: Final = 1000
"""Of fewer payments in a currency nobody can say what one in a thousand asks for."""


async def usual(connection: Connection | Pool) -> Mapping[str, int]:
    """Return, by currency, the amount in minor units above which no more than one payment in a thousand asks."""
    return {row["currency"]: row["amount"] for row in await connection.fetch(_SQL.usual, LATEST, FEWEST)}
