import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from counterfoil.cli.exits import CommandFailed
from counterfoil.cli.family import Member, Patience, family
from counterfoil.cli.ports import Ports

SERVER = """
import http.server, os, signal, sys
if "deaf" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
else:
    signal.signal(signal.SIGTERM, lambda *_: (print(sys.argv[2], "told", flush=True), sys.exit(0)))
print("listening", flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


def member(folder: Path, name: str, *words: str, program: str = SERVER, irreplaceable: bool = False) -> Member:
    port = Ports.free().gateway
    return Member(
        name=name,
        command=(sys.executable, "-c", program, str(port), name, *words),
        environment={"PATH": os.defpath},
        health_url=f"http://127.0.0.1:{port}/",
        log=folder / f"{name}.log",
        irreplaceable=irreplaceable,
    )


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not (state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z")


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - other processes set no event of ours
            await asyncio.sleep(0.02)


def answers(one: Member) -> bool:
    try:
        return httpx.get(one.health_url).status_code == 200
    except httpx.TransportError:
        return False


async def test_members_are_ready_inside_and_gone_outside(tmp_path: Path) -> None:
    """Inside the context every member answers; after it none is left, and each was asked to finish first."""
    members = [member(tmp_path, "one"), member(tmp_path, "two")]
    async with family(print) as kept:
        await kept.start(*members)
        answered = [answers(one) for one in members]
        pids = [kept.pid(one.name) for one in members]
    assert answered == [True, True]
    assert [is_alive(pid) for pid in pids] == [False, False]
    assert [one.log.read_text().splitlines()[-1] for one in members] == ["one told", "two told"]


async def test_a_member_that_dies_is_started_again(tmp_path: Path) -> None:
    """A killed role is back by itself, and the person who watches is told."""
    said: list[str] = []
    one = member(tmp_path, "one")
    async with family(said.append) as kept:
        await kept.start(one)
        first = kept.pid("one")
        os.kill(first, signal.SIGKILL)
        await until(lambda: kept.pid("one") != first)
        await until(lambda: answers(one))
    assert said == ["one ended (SIGKILL); starting it again in 0.2 s"]


async def test_a_member_gives_its_place_to_another(tmp_path: Path) -> None:
    """It is asked to finish first; whoever has its name then answers, and is stopped at the end as it was."""
    said: list[str] = []
    old, new = member(tmp_path, "one"), member(tmp_path, "one")
    async with family(said.append) as kept:
        await kept.start(old)
        first = kept.pid("one")
        await kept.replace(new)
        answered = (answers(old), answers(new))
        second = kept.pid("one")
    assert answered == (False, True)
    assert [is_alive(pid) for pid in (first, second)] == [False, False]
    assert [line for line in old.log.read_text().splitlines() if "GET" not in line] == ["listening", "one told"] * 2
    assert said == []


async def test_a_member_that_cannot_start_says_why(tmp_path: Path) -> None:
    """What ends before it is ready fails the whole start with the last line it wrote; the others are stopped."""
    broken = member(tmp_path, "broken", program="raise SystemExit('STRIPE_KEY is missing')")
    well = member(tmp_path, "well")
    pids: list[int] = []

    async def start_both() -> None:
        async with family(print) as kept:
            await kept.start(well)
            pids.append(kept.pid("well"))
            await kept.start(broken)

    with pytest.raises(CommandFailed, match=r"broken ended while it started: STRIPE_KEY is missing \(its log is"):
        await start_both()
    assert [is_alive(pid) for pid in pids] == [False]


async def test_the_end_of_an_irreplaceable_member_is_the_end_of_all(tmp_path: Path) -> None:
    """When the sandbox dies, its payments are gone: going on with an empty one would only mislead."""
    sandbox, role = member(tmp_path, "sandbox", irreplaceable=True), member(tmp_path, "role")
    pids: list[int] = []

    async def lose_the_sandbox() -> None:
        async with family(print) as kept:
            await kept.start(sandbox, role)
            pids.append(kept.pid("role"))
            os.kill(kept.pid("sandbox"), signal.SIGKILL)
            await asyncio.sleep(30)

    with pytest.raises(CommandFailed, match="sandbox ended"):
        await lose_the_sandbox()
    assert [is_alive(pid) for pid in pids] == [False]


async def test_the_end_of_what_all_depend_on_is_the_end_of_all(tmp_path: Path) -> None:
    """When the database is gone for good, the person who watches is told where to look, and nothing is left."""
    stopped = asyncio.Event()
    pids: list[int] = []

    async def ended() -> None:
        await stopped.wait()

    async def lose_the_database() -> None:
        async with family(print) as kept:
            kept.depend_on("postgresql", ended, tmp_path / "postgres.log")
            await kept.start(member(tmp_path, "role"))
            pids.append(kept.pid("role"))
            stopped.set()
            await asyncio.sleep(30)

    with pytest.raises(CommandFailed, match=r"postgresql ended: see .*postgres\.log"):
        await lose_the_database()
    assert [is_alive(pid) for pid in pids] == [False]


async def test_what_does_not_listen_is_killed(tmp_path: Path) -> None:
    """A member that ignores the request to finish ends all the same."""
    deaf = member(tmp_path, "deaf", "deaf")
    async with family(print, patience=Patience(drain_seconds=0.2)) as kept:
        await kept.start(deaf)
        pid = kept.pid("deaf")
    assert not is_alive(pid)


async def test_logs_are_said_as_they_are_written(tmp_path: Path) -> None:
    """Who wants to watch sees each line with the name of its member."""
    said: list[str] = []
    async with family(said.append, echo_logs=True) as kept:
        await kept.start(member(tmp_path, "one"))
        await until(lambda: bool(said))
    assert said[0] == "             one | listening"


async def test_nothing_outlives_a_killed_owner(tmp_path: Path) -> None:
    """Even SIGKILL, which nobody can catch, leaves no member behind: first they are asked, then killed."""
    ports = Ports.free()
    owner = textwrap.dedent(
        f"""
        import asyncio, os, sys
        from pathlib import Path
        from counterfoil.cli.family import Member, Patience, family

        async def own():
            async with family(print, patience=Patience(drain_seconds=0.5)) as kept:
                for name, port in (("well", {ports.gateway}), ("deaf", {ports.worker})):
                    await kept.start(Member(
                        name=name,
                        command=(sys.executable, "-c", {SERVER!r}, str(port), name, name),
                        environment={{"PATH": os.defpath}},
                        health_url=f"http://127.0.0.1:{{port}}/",
                        log=Path(name + ".log"),
                    ))
                print(kept.pid("well"), kept.pid("deaf"), flush=True)
                await asyncio.sleep(60)

        asyncio.run(own())
        """
    )
    with subprocess.Popen([sys.executable, "-c", owner], stdout=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        assert process.stdout is not None
        pids = [int(word) for word in process.stdout.readline().split()]
        assert [is_alive(pid) for pid in pids] == [True, True]
        process.kill()
    await until(lambda: not any(is_alive(pid) for pid in pids))
    assert (tmp_path / "well.log").read_text().splitlines()[-1] == "well told"


UNREADY = """
import http.server, json, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(503)
        self.end_headers()
        self.wfile.write(json.dumps({"ready": False, "checks": {"database": "ok", "queue": "is gone"}}).encode())
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


async def test_who_is_never_ready_says_what_it_lacks(tmp_path: Path) -> None:
    """In the one line, so that nobody has to find it in a log."""
    with pytest.raises(CommandFailed, match=r"one was not ready within 5 s; queue: is gone \(its log is .*one\.log\)"):
        async with family(print, patience=Patience(start_seconds=5)) as kept:
            await kept.start(member(tmp_path, "one", program=UNREADY))
