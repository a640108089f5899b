"""A family of processes: started together, restarted when one dies, stopped together, and never left behind.

`counterfoil up` and the demo keep the sandbox and every role this way. Each writes to a log file of its own; if the
process that keeps them is killed, `group_keeper.py` ends them.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from counterfoil.cli import group_keeper
from counterfoil.cli.exits import CommandFailed, first_cause

if TYPE_CHECKING:
    import httpx

DRAIN_SECONDS: Final = 18.0
"""A role finishes what is in hand within 15 s of SIGTERM; beyond this it hangs, and is killed."""

START_SECONDS: Final = 60.0
"""A role is ready within a second or two; a machine that needs this long for it is not going to."""

BACK_OFF_SECONDS: Final = (0.2, 1.0, 3.0, 10.0)
"""Waits before a role that died is started again; the last one repeats."""

STEADY_SECONDS: Final = 30.0
"""A role that ran this long had started well: its next end counts as a first one again."""

LOG_BYTES: Final = 8 * 1024 * 1024
"""A longer log is set aside at the next start, so that no home grows without end."""

_POLL_SECONDS: Final = 0.05
_OK: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One process of the family.

    `health_url` answers 200 once it can do its work; where it starts with ``tcp:``, it is enough that it takes
    connections. What is `leaned_on` is stopped last, because the others may be talking to it. What is `irreplaceable`
    is also not started again: what it knew is gone with it, so its end is the end of all.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    health_url: str
    log: Path
    leaned_on: bool = False
    irreplaceable: bool = False


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a member may take to end and to be ready, and the waits before one that ended is started again."""

    drain_seconds: float = DRAIN_SECONDS
    back_off_seconds: tuple[float, ...] = BACK_OFF_SECONDS
    start_seconds: float = START_SECONDS


class Family:
    """The living members; made by `family`. `say` takes one line for the person who watches."""

    def __init__(
        self,
        tasks: asyncio.TaskGroup,
        keeper: asyncio.subprocess.Process,
        say: Callable[[str], None],
        *,
        echo_logs: bool,
        patience: Patience,
    ) -> None:
        self._patience = patience
        self._echo_logs = echo_logs
        self._tasks = tasks
        self._keeper = keeper
        self._say = say
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._guards: dict[str, asyncio.Task[None]] = {}
        self._last: set[str] = set()

    async def start(self, *members: Member) -> None:
        """Start members side by side and return when all of them are ready.

        Raises CommandFailed, with the last line of its log, if one ends before that or takes too long.
        """
        for member in members:
            _make_log(member.log)
            if self._echo_logs and f"log of {member.name}" not in self._guards:
                self._guards[f"log of {member.name}"] = self._tasks.create_task(self._echoed(member))
            self._processes[member.name] = await self._spawned(member)
        async with asyncio.TaskGroup() as readying:
            for member in members:
                readying.create_task(self._until_ready(member))
        for member in members:
            if member.leaned_on or member.irreplaceable:
                self._last.add(member.name)
            self._guards[member.name] = self._tasks.create_task(self._guarded(member))

    async def replace(self, *members: Member) -> None:
        """Stop the members of these names, each finishing what is in hand, and start these in their place.

        Raises CommandFailed as `start` does.
        """
        guards = [self._guards.pop(member.name) for member in members]
        for guard in guards:
            guard.cancel()
        await asyncio.wait(guards)  # a guard that is starting its member again would bring back what is replaced
        await asyncio.gather(*(self._ended(self._processes[member.name]) for member in members))
        await self.start(*members)

    def depend_on(self, name: str, ended: Callable[[], Awaitable[None]], log: Path) -> None:
        """End everything, with CommandFailed, once `ended` returns: what all members need is gone."""

        async def watch() -> None:
            await ended()
            raise CommandFailed(f"{name} ended: see {log}")

        self._guards[name] = self._tasks.create_task(watch())

    def pid(self, name: str) -> int:
        """Return the process id of a member's present process."""
        return self._processes[name].pid

    def kill(self) -> None:
        """End every member at once, without giving it time to finish what is in hand."""
        for process in self._processes.values():
            if process.returncode is None:
                process.kill()

    async def stop(self) -> None:
        """Ask every member to finish what is in hand, and return when all have ended."""
        for guard in self._guards.values():
            guard.cancel()
        first = [name for name in self._processes if name not in self._last]
        for wave in (first, list(self._last)):
            await asyncio.gather(*(self._ended(self._processes[name]) for name in wave))
        await self._keeper.communicate(b".")

    async def _spawned(self, member: Member) -> asyncio.subprocess.Process:
        try:
            with member.log.open("ab") as output:
                return await asyncio.create_subprocess_exec(
                    *member.command,
                    env=dict(member.environment),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    process_group=self._keeper.pid,
                )
        except OSError as error:
            raise CommandFailed(f"{member.name} could not be started: {error.strerror}") from None

    async def _until_ready(self, member: Member) -> None:
        import httpx

        process, seconds, lacks = self._processes[member.name], self._patience.start_seconds, ""
        async with httpx.AsyncClient(trust_env=False, timeout=seconds) as client:
            try:
                async with asyncio.timeout(seconds):
                    while process.returncode is None:
                        with contextlib.suppress(httpx.TransportError, ConnectionError):
                            if (found := await _lacks(client, member.health_url)) is None:
                                return
                            lacks = found
                        await asyncio.sleep(_POLL_SECONDS)
            except TimeoutError:
                why = f"; {lacks}" if lacks else ""
                raise CommandFailed(
                    f"{member.name} was not ready within {seconds:.0f} s{why} (its log is {member.log})"
                ) from None
        raise CommandFailed(f"{member.name} ended while it started: {last_line(member.log)} (its log is {member.log})")

    async def _guarded(self, member: Member) -> None:
        """Start a member again whenever it ends, however that comes."""
        loop = asyncio.get_running_loop()
        waits = self._patience.back_off_seconds
        ends = 0
        while True:
            started = loop.time()
            code = await self._processes[member.name].wait()
            if member.irreplaceable:
                raise CommandFailed(
                    f"{member.name} ended ({_ending(code)}), and what it knew is gone: see {member.log}"
                )
            ends = 0 if loop.time() - started > STEADY_SECONDS else ends
            wait = waits[min(ends, len(waits) - 1)]
            ends += 1
            self._say(f"{member.name} ended ({_ending(code)}); starting it again in {wait:g} s")
            await asyncio.sleep(wait)
            self._processes[member.name] = await self._spawned(member)

    async def _echoed(self, member: Member) -> None:
        """Say each line that a member logs from now on, soon after it is written."""
        with member.log.open(encoding="utf-8", errors="replace") as log:
            log.seek(0, os.SEEK_END)
            line = ""
            while True:
                line += log.readline()
                if line.endswith("\n"):
                    self._say(f"{member.name:>16} | {line[:-1]}")
                    line = ""
                else:
                    await asyncio.sleep(_POLL_SECONDS)

    async def _ended(self, process: asyncio.subprocess.Process) -> None:
        if process.returncode is None:
            process.terminate()
        try:
            async with asyncio.timeout(self._patience.drain_seconds):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


@asynccontextmanager
async def family(
    say: Callable[[str], None], *, echo_logs: bool = False, patience: Patience = Patience()
) -> AsyncIterator[Family]:
    """Keep a family of processes for as long as the context lasts; at its end they are stopped in order.

    With `echo_logs` every line they log is said too, after its member's name. When something goes wrong that cannot
    be mended by starting a process again, what runs inside the context is cancelled and CommandFailed is raised.
    """
    keeper = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", group_keeper.__file__, str(patience.drain_seconds)),
        stdin=subprocess.PIPE,
        process_group=0,
    )
    try:
        async with asyncio.TaskGroup() as tasks:
            kept = Family(tasks, keeper, say, echo_logs=echo_logs, patience=patience)
            try:
                yield kept
            finally:
                await kept.stop()
    except BaseExceptionGroup as raised:
        raise first_cause(raised) from None


async def _lacks(client: "httpx.AsyncClient", url: str) -> str | None:
    """Return None once a member can do its work; until then those of its checks that fail, where it has any."""
    parts = urlsplit(url)
    if parts.scheme != "tcp":
        answer = await client.get(url)
        return None if answer.status_code == _OK else _failing(answer.text)
    _, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.close()
    return None


def _failing(told: str) -> str:
    """Return the checks of a role's `/readyz` that are not ok, with what each says; nothing of another answer."""
    try:
        checks: dict[str, str] = json.loads(told)["checks"]
    except (ValueError, KeyError, TypeError):
        return ""
    return ", ".join(f"{name}: {said}" for name, said in checks.items() if said != "ok")


def _make_log(log: Path) -> None:
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
    log.touch(mode=0o600)


def last_line(log: Path) -> str:
    """Return the last line that a log holds, or a word about its being empty."""
    lines = log.read_bytes()[-4096:].decode("utf-8", "replace").splitlines()
    return lines[-1] if lines else "it said nothing"


def _ending(code: int) -> str:
    return f"exit {code}" if code >= 0 else signal.Signals(-code).name
