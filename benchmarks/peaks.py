"""How much memory a process takes at one size beside another: each a child of its own, whose peak the system tells."""

import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
from aiohttp import web

from counterfoil.store import embedded


async def told_by_child(script: str, flag: str, url: str, stripe: web.Application) -> list[str]:
    """Run a script as a process of its own, with a database and a server in Stripe's place; return its last words."""
    runner = web.AppRunner(stripe, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    command = [script, flag, url, f"http://127.0.0.1:{runner.addresses[0][1]}"]
    child = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=asyncio.subprocess.PIPE)
    told, _ = await child.communicate()
    await runner.cleanup()
    return told.decode().splitlines()[-1].split()  # before it stands what a step logs


async def beside(few: int, many: int, what: str, measured: Callable[[str, int], Awaitable[int]]) -> None:
    """Measure both sizes, each on a database of its own, and print the ratio of their peaks."""
    home = Path(tempfile.mkdtemp())
    async with embedded.server(home) as server:
        peaks = []
        for size in (few, many):
            connection = await asyncpg.connect(server.url)
            await connection.execute(f"CREATE DATABASE size_{size}")
            await connection.close()
            peaks.append(await measured(server.url.rpartition("/")[0] + f"/size_{size}", size))
    embedded.remove(home)
    print(f"peak at {many} beside {few}: {peaks[1] / peaks[0]:.2f} times, for {many / few:.0f} times the {what}")
