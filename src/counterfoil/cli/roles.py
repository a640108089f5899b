"""`counterfoil run ROLE`: become one of the processes."""

import dataclasses
from typing import TYPE_CHECKING, Annotated

import typer

from counterfoil.cli.exits import WrongUsage
from counterfoil.config import Role, load_from_process, open_files_from_process, role_from_process
from counterfoil.domain.errors import Misconfigured

if TYPE_CHECKING:
    from counterfoil.config import Settings

_ROLES = ", ".join(Role)


def run(
    role: Annotated[str, typer.Argument(help=f"One of: {_ROLES}. Without it, PAYMENTS_MODE says.")] = "",
) -> None:
    """Run one role until it is told to stop.

    On SIGTERM it takes no new work, finishes what is in hand within 15 s, and exits 0.
    """
    chosen = _chosen(role)
    settings = load_from_process(chosen)

    import asyncio

    import uvloop

    from counterfoil.runtime import log

    log.configure(settings.log_level.value)
    log.warn_of(open_files_from_process(chosen), "names a file that everybody on this machine may read")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_until_told(chosen, settings))


async def _until_told(role: Role, settings: "Settings") -> None:
    """Run the role's module on the database of the settings, else on the embedded one of COUNTERFOIL_HOME."""
    from contextlib import AsyncExitStack
    from importlib import import_module

    from counterfoil.runtime.secret import Secret
    from counterfoil.runtime.shutdown import Shutdown

    process = import_module(f"counterfoil.roles.{role.replace('-', '_')}")
    shutdown = Shutdown()
    async with AsyncExitStack() as running:
        running.enter_context(shutdown.on_signals())
        if role.needs_database and settings.database_url is None:
            from counterfoil.store import embedded

            url = await running.enter_async_context(embedded.joined_or_started(settings.counterfoil_home.absolute()))
            settings = dataclasses.replace(settings, database_url=Secret(url))
        await process.run(settings, shutdown)


def _chosen(role: str) -> Role:
    if role:
        if role not in set(Role):
            raise WrongUsage(f"there is no such role; the roles are: {_ROLES}")
        return Role(role)
    try:
        named = role_from_process()
    except Misconfigured as refusal:
        if refusal.setting == "PAYMENTS_MODE":
            raise WrongUsage(str(refusal)) from None
        raise
    if named is None:
        raise WrongUsage(f"name a role, or set PAYMENTS_MODE; the roles are: {_ROLES}")
    return named
