"""The embedded server: started, joined, stopped. The package says what holds."""

import asyncio
import contextlib
import functools
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from counterfoil.runtime.ids import secret_text
from counterfoil.store.embedded import keeper, presence
from counterfoil.store.embedded import place as places
from counterfoil.store.embedded.place import Account, AlreadyRunning, Place, StartFailed
from counterfoil.store.pool import open_connection

ADDRESS = "127.0.0.1"
ROLE = DATABASE = "counterfoil"
LOG = "postgres.log"
PASSWORD = "postgres.password"  # noqa: S105 - the name of its file in the home

POLL_SECONDS = 0.01
CONNECT_SECONDS = 5.0  # to our own machine; beyond it, something else has the port
OWNER_SECONDS = 0.5  # `running` holds the owner's lock for an instant when it looks: a start must outlast that
LEFTOVER_SECONDS = 30.0  # a server whose owner was killed stops within the keeper's patience of 15 s
ORPHAN_SECONDS = 1.0  # a leftover still there after this has lost its keeper too: nobody else will stop it
START_SECONDS = 120.0  # after a crash, up to max_wal_size is replayed first
PORT_ATTEMPTS = 5  # a free port may be taken between our look and the server's bind
LOG_BYTES = 8 * 1024 * 1024  # a longer log is set aside at the next start, so that no home grows without end

# Everything the server hears from us. Nothing of the caller's environment: no PG… variable, no library path.
ENVIRONMENT = {"LC_ALL": "C", "PATH": "/usr/bin:/bin", "TZ": "UTC"}

INITDB_OPTIONS = (
    *("--username", ROLE, "--auth", "scram-sha-256"),
    # PostgreSQL's own C.UTF-8: the same order on every machine and no libc or ICU upgrade that breaks an index.
    *("--encoding", "UTF8", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--locale", "C"),
    "--data-checksums",
)

SETTINGS = {
    "listen_addresses": ADDRESS,
    "unix_socket_directories": "",
    "max_connections": "100",
    # What a 2xx rests on.
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    # A small machine, shared with everything else that `counterfoil up` runs.
    "shared_buffers": "64MB",
    "huge_pages": "off",
    "io_method": "sync",  # three worker processes fewer
    "max_parallel_workers_per_gather": "0",
    "autovacuum_max_workers": "2",
    "wal_level": "minimal",  # nothing replicates from here
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "max_wal_size": "512MB",
    # Ids only: terse leaves out the details of an error, which quote values, and no statement is logged at all.
    "log_destination": "stderr",
    "logging_collector": "off",
    "log_checkpoints": "off",
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_timezone": "UTC",
    "timezone": "UTC",
}


@dataclass(frozen=True, slots=True)
class EmbeddedServer:
    """A running server that this process owns. `url` is for asyncpg and psycopg alike; it holds the password."""

    url: str
    port: int
    home: Path
    keeper: "subprocess.Popen[bytes]"

    async def ended(self) -> None:
        """Wait until the server has ended, by itself or because it was stopped."""
        while self.keeper.poll() is None:  # noqa: ASYNC110 - a process has no event of the loop's
            await asyncio.sleep(POLL_SECONDS)

    async def stop(self) -> None:
        """Shut the server down and wait for its last process. Cut short, the keeper goes on and finishes."""
        if self.keeper.stdin is not None:
            self.keeper.stdin.close()  # our end of the pipe
        await self.ended()


@asynccontextmanager
async def server(home: Path, *, port: int | None = None) -> AsyncIterator[EmbeddedServer]:
    """Run this home's server for as long as the context lasts; the first time, make its cluster.

    Args:
        home: The folder that holds it; made if absent (its parents too).
        port: The TCP port on 127.0.0.1; None takes a free one.

    Raises:
        NotInstalled: The extra `embedded` is absent.
        AlreadyRunning: Another process owns the server of this home.
        StartFailed: It would not start; the sentence says why.
    """
    home = _made(home)
    with presence.letting_go(await _owned(home)):
        started = await _started(home, port)
        try:
            yield started
        finally:
            await started.stop()


async def running(home: Path) -> str | None:
    """Return the URL of the server that another process runs on this home, or None.

    It has answered with knowledge of the password, so it is the server of this home and not another on its port.
    """
    url = _url_in_use(home)
    if url is None:
        return None
    try:
        await _greet(url)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return None
    return url


async def _greet(url: str) -> None:
    """Return if the server lets us in; raises what the driver does if not."""
    async with open_connection(url, name="counterfoil, is it there", connect_seconds=CONNECT_SECONDS):
        """Nothing is asked: the password was."""


def _url_in_use(home: Path) -> str | None:
    """The URL of the server that says it is ready, if it has an owner: one without is about to be stopped."""
    home = home.resolve()
    place = places.located(home) if presence.is_owned(home) else None
    port = presence.ready_port(place) if place else None
    return _url(home, port) if port else None


@asynccontextmanager
async def joined_or_started(home: Path) -> AsyncIterator[str]:
    """Give the URL of this home's server: of the one that runs, else of one started for as long as the context lasts.

    Raises: as `server`, but for AlreadyRunning.
    """
    async with AsyncExitStack() as stack:
        yield await _join_or_start(home, stack)


async def _join_or_start(home: Path, stack: AsyncExitStack) -> str:
    try:
        async with asyncio.timeout(START_SECONDS):
            while True:
                url = await running(home)
                if url is not None:
                    return url
                # Refused means that its owner is still starting it, or has just stopped: look again.
                with contextlib.suppress(AlreadyRunning):
                    return (await stack.enter_async_context(server(home))).url
    except TimeoutError:
        raise StartFailed(f"another process holds the database of {home}, which does not answer") from None


def remove(home: Path) -> None:
    """Delete this home's cluster and everything in it. Its server must not be running.

    Raises:
        AlreadyRunning: It is.
    """
    home = home.resolve()
    if home.is_dir():
        with ExitStack() as stack:
            for path in (presence.owner_lock(home), presence.server_lock(home)):
                lock = presence.locked(path)
                if lock is None:
                    raise AlreadyRunning(f"the database of {home} is in use: stop its owner first")
                stack.enter_context(presence.letting_go(lock))
            places.delete(home)
            (home / PASSWORD).unlink(missing_ok=True)


async def _started(home: Path, port: int | None) -> EmbeddedServer:
    """Start the server of a home that we own."""
    place = await asyncio.to_thread(places.prepared, home)
    folder = await asyncio.to_thread(places.programs, place.account)
    with presence.letting_go(await _vacated(home, place)) as lock:
        _clear_pid_file(place)
        if not place.data.exists():
            await asyncio.to_thread(_make_cluster, home, place, folder)
        attempts = PORT_ATTEMPTS if port is None else 1
        for left in reversed(range(attempts)):
            chosen = _free_port() if port is None else port
            if not _is_free(chosen):
                raise StartFailed(f"port {chosen} is in use by another program: choose another one")
            started = EmbeddedServer(_url(home, chosen), chosen, home, _spawn(home, place, folder, chosen, lock))
            try:
                await _until_ready(started, place)
                await _greet(started.url)
            except StartFailed:
                await started.stop()
                if not left or _is_free(chosen):  # otherwise somebody took the port: try the next
                    raise
            except BaseException:
                await started.stop()
                raise
            else:
                return started
    raise AssertionError("the last attempt returns or raises")


def _make_cluster(home: Path, place: Place, folder: Path) -> None:
    """Run initdb, under another name until it is whole, so that one cut short is never taken for a cluster."""
    unfinished = place.folder / "data.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    password = secret_text("")
    for_initdb = place.folder / "password"
    _write_secret(home / PASSWORD, password, None)
    _write_secret(for_initdb, password, place.account)
    _initdb(place, folder, unfinished, for_initdb)
    for_initdb.unlink()
    unfinished.rename(place.data)
    _sync(home)
    _sync(place.folder)  # initdb has synced the cluster; this is its new name


def _write_secret(path: Path, secret: str, account: Account | None) -> None:
    """Write a file that its owner alone may read: ourselves, or the account."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)  # new, so never through somebody's link
    try:
        os.write(descriptor, f"{secret}\n".encode())
        if account is not None:
            places.give(descriptor, account)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _initdb(place: Place, folder: Path, target: Path, password_file: Path) -> None:
    """Make a cluster with our database in it; the server is not up yet, so nobody else can come in between."""
    run = functools.partial(
        subprocess.run,
        check=True,
        capture_output=True,
        cwd="/",
        env=ENVIRONMENT,
        # Only root may ask for another account, or for no groups, even where nothing would change.
        **({"user": place.account.uid, "group": place.account.gid, "extra_groups": []} if os.geteuid() == 0 else {}),
    )
    single = [folder / "postgres", "--single", "-D", target, "-c", "exit_on_error=on", "postgres"]
    try:
        run([folder / "initdb", *INITDB_OPTIONS, "--pwfile", password_file, "--pgdata", target], input=b"")
        run(single, input=f"CREATE DATABASE {DATABASE}\n".encode())
    except subprocess.CalledProcessError as failure:
        raise StartFailed(f"initdb failed: {_last_line(failure.stderr)}") from failure
    except OSError as failure:
        raise StartFailed(f"initdb could not run as account {place.account.uid}: {failure}") from failure


def _spawn(home: Path, place: Place, folder: Path, port: int, lock: int) -> "subprocess.Popen[bytes]":
    """Start the keeper and through it the server; both write to the home's log."""
    settings = {**SETTINGS, "port": str(port)}
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    log = home / LOG
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
    log.touch(mode=0o600)
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - our own program and the wheel's, no argument from outside
            [sys.executable, "-I", "-S", keeper.__file__]
            + [str(part) for part in (place.account.uid, place.account.gid, lock)]
            + [str(folder / "postgres"), "-D", str(place.data), *options],
            env=ENVIRONMENT,
            pass_fds=(lock,),
            start_new_session=True,  # Ctrl-C is for the owner, which then stops the server in order
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
        )


async def _until_ready(started: EmbeddedServer, place: Place) -> None:
    try:
        async with asyncio.timeout(START_SECONDS):
            while presence.ready_port(place) is None:
                if started.keeper.poll() is not None:
                    log = started.home / LOG
                    raise StartFailed(f"PostgreSQL ended at once: {_last_line(_tail(log))} (its log is {log})")
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        raise StartFailed(f"PostgreSQL was not ready within {START_SECONDS:.0f} s") from None


def _clear_pid_file(place: Place) -> None:
    """Remove a pid file that a crash has left. We hold the server's lock, so no server of ours is behind it.

    PostgreSQL itself would refuse to start as long as any process of this account has that number, a zombie included.
    """
    pid = presence.live_pid(place)
    if pid is not None:
        raise StartFailed(f"a PostgreSQL that somebody else started (process {pid}) uses {place.data}: stop it first")
    place.pid_file.unlink(missing_ok=True)


async def _owned(home: Path) -> int:
    """Become the owner of this home's server; return the lock that says so."""
    waited_seconds = 0.0
    while (lock := presence.locked(presence.owner_lock(home))) is None:
        if waited_seconds > OWNER_SECONDS:
            raise AlreadyRunning(f"another process already runs the database of {home}: join it, or use another home")
        await asyncio.sleep(POLL_SECONDS)
        waited_seconds += POLL_SECONDS
    return lock


async def _vacated(home: Path, place: Place) -> int:
    """Wait until no process of an earlier server is left, stop one that lost its keeper; return the server's lock."""
    waited_seconds = 0.0
    told: int | None = None
    while (lock := presence.locked(presence.server_lock(home))) is None:
        if waited_seconds > LEFTOVER_SECONDS:
            raise StartFailed(f"processes of an earlier server of {home} do not end: stop them (they use {place.data})")
        pid = presence.live_pid(place)
        if waited_seconds > ORPHAN_SECONDS and pid not in (None, told):
            os.kill(pid, signal.SIGINT)
            told = pid
        await asyncio.sleep(POLL_SECONDS)
        waited_seconds += POLL_SECONDS
    return lock


def _made(home: Path) -> Path:
    home = home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    return home


def _url(home: Path, port: int) -> str:
    # sslmode: the server has no certificate, and asking for one first costs each connection a round trip.
    password = (home / PASSWORD).read_text().strip()
    return f"postgresql://{ROLE}:{password}@{ADDRESS}:{port}/{DATABASE}?sslmode=disable"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((ADDRESS, 0))
        return int(probe.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As PostgreSQL does: a port whose last connections are still timing out may be bound again.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ADDRESS, port))
        except OSError:
            return False
    return True


def _tail(log: Path) -> bytes:
    with log.open("rb") as lines:
        lines.seek(max(0, log.stat().st_size - 4096))
        return lines.read()


def _last_line(output: bytes) -> str:
    """The line that says most: the last that PostgreSQL marks as the reason, else the last."""
    lines = output.decode(errors="replace").strip().splitlines() or ["(it said nothing)"]
    reasons = [line for line in lines if "FATAL" in line or "error:" in line]
    return (reasons or lines)[-1]


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
