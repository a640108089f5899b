"""What a role sees of the world around it: the store, the time, and names for new things."""

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from counterfoil.config import Settings
from counterfoil.runtime.clock import Clock, SystemClock
from counterfoil.runtime.ids import Ids, TimeOrderedIds
from counterfoil.store.pool import Pool, open_pool


@dataclass(frozen=True, slots=True)
class World:
    """Everything outside the process that a step may touch, but for the processor. A test brings its own."""

    pool: Pool
    clock: Clock
    ids: Ids

    def request_id(self) -> str:
        """Return a name for one request, as ``Request-Id`` shows it."""
        return str(self.ids.new())


@asynccontextmanager
async def open_world(settings: Settings, role: str, *, largest: int) -> AsyncIterator[World]:
    """Yield the real world: the machine's clock, and up to ``largest`` connections to the database of the settings."""
    assert settings.database_url is not None, "whoever starts a role has found or started a database"
    clock = SystemClock()
    async with open_pool(settings.database_url.reveal(), name=f"counterfoil {role}", largest=largest) as pool:
        yield World(pool, clock, TimeOrderedIds(clock))


def owner_name(role: str, ids: Ids) -> str:
    """Return a name for the claims of this process that no other process ever has, and that a person can read."""
    return f"{role} {os.getpid()}@{socket.gethostname()} {ids.new()}"
