"""A broker of our own: its jars fetched once, its log formatted once, started, stopped. The package says what for."""

import asyncio
import base64
import fcntl
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from counterfoil.domain.errors import Stop
from counterfoil.runtime.ids import secret_text

ADDRESS: Final = "127.0.0.1"

JARS_SECONDS: Final = 600.0
"""Some 60 MB from Maven Central, the first time."""

START_SECONDS: Final = 90.0
"""A broker is there within 8 s on two free cores; after a crash it reads its logs first."""

STOP_SECONDS: Final = 30.0
"""It writes its state on SIGTERM; killed after this, it recovers at the next start."""

_POLL_SECONDS: Final = 0.1

_MEMORY: Final = ("-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""A small machine, shared with every role: ready sooner, at the price of a throughput that nobody asks for here."""

_FETCHED: Final = "fetched"

_POM: Final = Path(__file__).parent / "pom.xml"

_PROPERTIES: Final = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{address}:{controller_port}
listeners=PLAINTEXT://{address}:{port},CONTROLLER://{address}:{controller_port}
advertised.listeners=PLAINTEXT://{address}:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
"""

_FLUSHED: Final = "log.flush.interval.messages=1\n"
"""One node has nobody else to have a message from once its machine is gone."""


class BrokerFailed(Stop):
    """The broker cannot be had; the sentence says what to do."""


@dataclass(frozen=True, slots=True)
class Program:
    """What starts a broker, for whoever keeps processes; its jars are there, and its log is formatted."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    log: Path


@dataclass(frozen=True, slots=True)
class Broker:
    """A running broker; ``brokers`` is for `KAFKA_BROKERS`."""

    brokers: str
    process: asyncio.subprocess.Process
    log: Path

    async def stop(self) -> None:
        """Let it write its state and end."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self.process.wait(), STOP_SECONDS)
            except TimeoutError:
                self.process.kill()
        await self.process.wait()

    async def kill(self) -> None:
        """End it between any two instructions."""
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()


def missing_tools() -> list[str]:
    """Return what this machine lacks for a broker, by the names of its commands."""
    return [tool for tool in ("java", "mvn") if shutil.which(tool) is None]


async def start(
    home: Path, port: int, controller_port: int, *, jars: Path | None = None, flushed: bool = True
) -> Broker:
    """Start a broker and return it once it answers. Whoever starts it stops it.

    Args:
        home: what it keeps, and its log; made if absent.
        port: where clients find it, on 127.0.0.1.
        controller_port: where it speaks to itself.
        jars: where its jars are kept; a folder of the home if not named.
        flushed: each message is on disk before it is acknowledged; else the system writes it when it likes, as Kafka
            does where several brokers have each message.

    Raises:
        BrokerFailed: Java or Maven are missing, the jars cannot be had, or it does not start.
    """
    program = await asyncio.to_thread(
        prepared, home, port, controller_port, jars=jars or home / "jars", flushed=flushed
    )
    with program.log.open("ab") as out:
        process = await asyncio.create_subprocess_exec(
            *program.command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=program.environment,
            start_new_session=True,
        )
    running = Broker(f"{ADDRESS}:{port}", process, program.log)
    try:
        await _until_it_answers(running, port)
    except BaseException:
        await running.kill()
        raise
    return running


def fetched(jars: Path) -> Path:
    """Return the folder of the jars, fetching them where they are not there yet; of several processes one does.

    Raises:
        BrokerFailed: Java or Maven are missing, or Maven could not fetch them.
    """
    lacking = missing_tools()
    if lacking:
        raise BrokerFailed(
            f"{' and '.join(lacking)} not found: on Debian, apt-get install openjdk-17-jre-headless maven"
        )
    work = jars / "work"
    work.mkdir(parents=True, exist_ok=True)
    with (jars / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two at once would write to one repository of Maven's
        if not are_fetched(jars):
            shutil.copy(_POM, work / "pom.xml")
            where = f"-DoutputDirectory={jars.absolute()}"
            _run(["mvn", "--quiet", "--batch-mode", "dependency:copy-dependencies", where], work)
            (jars / _FETCHED).write_text(_POM.read_text("utf-8"), "utf-8")
    return jars


def are_fetched(jars: Path) -> bool:
    """Say whether the jars are there, in the versions of today."""
    done = jars / _FETCHED
    return done.exists() and done.read_text("utf-8") == _POM.read_text("utf-8")


def prepared(home: Path, port: int, controller_port: int, *, jars: Path, flushed: bool = True) -> Program:
    """Return what starts a broker, after fetching its jars and formatting its log where that was not done yet.

    Takes what `start` takes, and raises as it does.
    """
    home.mkdir(parents=True, exist_ok=True)
    library = fetched(jars)
    properties, data = home / "server.properties", home / "data"
    told = _PROPERTIES.format(address=ADDRESS, port=port, controller_port=controller_port, data=data.absolute())
    properties.write_text(told + _FLUSHED if flushed else told)
    if not (data / "meta.properties").exists():
        cluster = base64.urlsafe_b64encode(secret_text("").encode()[:16]).decode().rstrip("=")
        _run(_java(library, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(properties.absolute())), home)
    command = _java(library, "kafka.Kafka", str(properties.absolute()))
    return Program(tuple(command), _environment(), home / "kafka.log")


async def _until_it_answers(running: Broker, port: int) -> None:
    """Return once the broker takes connections; what it takes before it is ready it answers when it is."""
    async with asyncio.timeout(START_SECONDS):
        while True:
            if running.process.returncode is not None:
                raise BrokerFailed(f"the broker ended as it started: see {running.log}")
            try:
                _, writer = await asyncio.open_connection(ADDRESS, port)
            except OSError:
                await asyncio.sleep(_POLL_SECONDS)
            else:
                writer.close()
                return


def _run(command: list[str], folder: Path) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - commands of ours
            command,
            cwd=folder,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=JARS_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise BrokerFailed(f"{command[0]} did not end within {JARS_SECONDS:.0f} s") from None
    if done.returncode:
        said = (done.stdout + done.stderr).decode(errors="replace").strip().splitlines()
        raise BrokerFailed(f"{command[0]} failed: {said[-1] if said else 'it said nothing'}")


def _java(library: Path, main: str, *arguments: str) -> list[str]:
    level = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
    return ["java", *_MEMORY, level, "-cp", f"{library.absolute()}/*", main, *arguments]


def _environment() -> dict[str, str]:
    """Where commands are, and Maven's own settings; no option of Java's that is meant for another program."""
    found = [str(Path(path).parent) for tool in ("java", "mvn") if (path := shutil.which(tool)) is not None]
    return {"PATH": os.pathsep.join([*found, os.defpath]), "HOME": str(Path.home()), "LC_ALL": "C.UTF-8"}
