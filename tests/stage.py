"""Roles and the sandbox as what they are: processes, each on a port of its own, on a real database."""

import asyncio
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import asyncpg
import httpx

from counterfoil.runtime.clock import SystemClock
from counterfoil.store import tokens
from counterfoil.store.tokens import Scope

KEY = "sk_test_stage"
SECRET = "whsec_of_the_stage_0123456789"

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Running:
    """A process at work; ``url`` is where it listens and ``log`` what it has written to standard error.

    As a context manager it is killed at the end, if it was not before.
    """

    url: str
    process: "subprocess.Popen[bytes]"
    log_file: Path

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def log(self) -> str:
        """Return what it has logged so far."""
        return self.log_file.read_text()

    def terminate(self) -> None:
        """Ask it to end, as whoever runs it does."""
        self.process.send_signal(signal.SIGTERM)

    def ended(self, seconds: float = 20.0) -> int:
        """Return its exit code, which must come within so many seconds."""
        return self.process.wait(seconds)

    def kill(self) -> None:
        """End it between any two instructions."""
        _end(self.process)

    def freeze(self) -> None:
        """Stop it between any two instructions, as a machine that sleeps does; returns once it stands still."""
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED)

    def thaw(self) -> None:
        """Let it go on from there."""
        self.process.send_signal(signal.SIGCONT)


class Stage:
    """Starts processes that share a database and a sandbox; all of them end with it."""

    def __init__(self, database_url: str, folder: Path, ending: ExitStack) -> None:
        self.database_url = database_url
        self.folder = folder
        self._ending = ending
        self._sandbox_url: str | None = None
        self._numbers = itertools.count(1)

    @property
    def sandbox_url(self) -> str:
        """Where the sandbox is; it is started when first asked for."""
        if self._sandbox_url is None:
            self._sandbox_url = self.start_sandbox()
        return self._sandbox_url

    def start_sandbox(self, *options: str) -> str:
        """Start a sandbox for the roles started from now on, and return where it is."""
        running = self._spawn("stripe-sandbox", [*_MODULE, "stripe_sandbox", "--port", "0", "--json", *options], {})
        self._sandbox_url = str(json.loads(_first_line(running.process))["url"])
        return self._sandbox_url

    def start(self, role: str, **settings: str) -> Running:
        """Start a role and return once it is ready."""
        running = self.listening(role, **settings)
        until(lambda: ready(running)[0] == httpx.codes.OK)
        return running

    def start_registered_receiver(self) -> Running:
        """Register a receiver with the sandbox, as one does with Stripe, and start it."""
        return self.start("webhook-receiver", **self.registered())

    def registered(self) -> dict[str, str]:
        """Register a receiver with the sandbox; return the settings it is to be started with."""
        port = str(free_port())
        answer = httpx.post(
            f"{self.sandbox_url}/v1/webhook_endpoints",
            data={
                "url": f"http://127.0.0.1:{port}/webhooks/stripe",
                "enabled_events[]": "*",
                "api_version": "2024-06-20",
            },
            headers={"Authorization": f"Bearer {KEY}"},
            trust_env=False,
        )
        return {"PORT": port, "STRIPE_WEBHOOK_SECRETS": answer.json()["secret"]}

    def listening(self, role: str, **settings: str) -> Running:
        """Start a role and return once it listens, ready or not."""
        running = self.launch(role, **settings)
        until(lambda: _listens(running))
        return running

    def launch(self, role: str, **settings: str) -> Running:
        """Start a role and return at once."""
        environment = {
            "DATABASE_URL": self.database_url,
            "LISTEN_ADDRESS": "127.0.0.1",
            "PORT": str(free_port()),
            "RETURN_URL": "https://shop.example/back",
            **_NEEDED[role],
            **settings,
        }
        if "STRIPE_KEY" in environment:
            environment.setdefault("STRIPE_API_BASE", self.sandbox_url)
        url = f"http://127.0.0.1:{environment['PORT']}"
        return self._spawn(role, [*_MODULE, "counterfoil", "run", role], environment, url)

    def _spawn(self, name: str, command: list[str], settings: dict[str, str], url: str = "") -> Running:
        log_file = self.folder / f"{name}-{next(self._numbers)}.log"
        with log_file.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC", **settings},
                stdout=subprocess.PIPE,
                stderr=output,
            )
        self._ending.callback(_end, process)
        return Running(url, process, log_file)


@contextmanager
def staged(database_url: str, folder: Path) -> Iterator[Stage]:
    """Yield a stage; whatever still runs on it at the end is killed."""
    with ExitStack() as ending:
        yield Stage(database_url, folder, ending)


def until(condition: Callable[[], bool], *, seconds: float = 30.0) -> None:
    """Return once the condition holds; fails when it does not within so many seconds."""
    deadline = now() + seconds
    while not condition():
        assert now() < deadline, "waited in vain"
        time.sleep(0.02)


async def becomes(
    wanted: Answer | Callable[[Answer], bool],
    ask: Callable[[], Awaitable[Answer]],
    *,
    seconds: float = 30.0,
) -> Answer:
    """Ask until the answer is the one wanted, or one that is accepted; fails when none is within so many seconds."""
    deadline = now() + seconds
    while True:
        answer = await ask()
        if wanted(answer) if callable(wanted) else answer == wanted:
            return answer
        assert now() < deadline, f"waited in vain; the last answer was {answer}"
        await asyncio.sleep(0.02)


def now() -> float:
    """Return seconds of the machine's own clock, which is also that of the processes."""
    return time.monotonic()  # noqa: TID251 - processes live by the machine's clock


def free_port() -> int:
    """Return a port nobody listens on, another one each time.

    It is below those that the system gives to whoever connects: one of these could be taken before its role has it.
    """
    while True:
        port = 10_000 + next(_PORTS) % 10_000
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port


def order(number: int | str, **changes: Any) -> dict[str, Any]:
    """Return the body of a charge of 19.99 euros; the same number is the same event and the same order."""
    return {
        "event_id": f"event-{number}",
        "order_id": f"order-{number}",
        "amount_cents": 1999,
        "currency": "EUR",
        "payment_method": "pm_card_visa",
        **changes,
    }


async def fetch(stage: Stage, query: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query of the test's own."""
    connection = await asyncpg.connect(stage.database_url)
    try:
        return [tuple(row.values()) for row in await connection.fetch(query)]
    finally:
        await connection.close()


async def authority(stage: Stage, *scopes: Scope) -> dict[str, str]:
    """Return the header of a new token that may do what is named, or charge where nothing is."""
    connection = await asyncpg.connect(stage.database_url)
    try:
        token = await tokens.create(connection, "shop", scopes or [Scope.CHARGE], SystemClock().now())
    finally:
        await connection.close()
    return {"Authorization": f"Bearer {token.reveal()}"}


def ready(running: Running) -> tuple[int, Any]:
    """Return what a role says of its readiness."""
    answer = _PROBES.get(f"{running.url}/readyz")
    return answer.status_code, answer.json()


def _listens(running: Running) -> bool:
    assert running.process.poll() is None, running.log()
    try:
        return _PROBES.get(f"{running.url}/healthz").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def _first_line(process: "subprocess.Popen[bytes]") -> bytes:
    assert process.stdout is not None
    return process.stdout.readline()


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.kill()
        process.wait(10)
    if process.stdout is not None:
        process.stdout.close()


# One client for all probes, as a new one costs more than the question; no connection of it outlives its answer.
_PROBES = httpx.Client(trust_env=False, timeout=10, limits=httpx.Limits(max_keepalive_connections=0))
_PORTS = itertools.count(os.getpid() * 7919)  # processes side by side begin far from one another
_MODULE = [sys.executable, "-m"]
_NEEDED: dict[str, dict[str, str]] = {
    "gateway": {"STRIPE_KEY": KEY},
    "worker": {"STRIPE_KEY": KEY},
    "webhook-receiver": {"STRIPE_WEBHOOK_SECRETS": SECRET},
    "outbox-publisher": {},
    "dispatcher": {},
}
