"""What a role tells those who watch it, over real HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter

from counterfoil.domain.errors import Unavailable
from counterfoil.roles.probes import Check, application
from counterfoil.runtime.shutdown import Shutdown

Start = Callable[..., Awaitable[Any]]
Ask = Callable[[str], Awaitable[httpx.Response]]


async def fine() -> None:
    """Stands for a dependency that answers."""


async def down() -> None:
    raise Unavailable("database")


async def broken() -> None:
    raise RuntimeError("postgresql://user:password@host/db refused")


async def silent() -> None:
    await asyncio.sleep(3600)


async def stubborn() -> None:
    while True:
        try:
            await asyncio.sleep(2)
        except asyncio.CancelledError:
            await asyncio.sleep(2)
            return


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False) as client:
        yield client


async def asked(server: Start, client: httpx.AsyncClient, path: str, *checks: Check) -> httpx.Response:
    served = await server(application(checks, CollectorRegistry(), Shutdown()))
    return await client.get(f"http://127.0.0.1:{served.port}{path}")


async def test_a_living_process_says_so_whatever_else_is_down(server: Start, client: httpx.AsyncClient) -> None:
    """`/healthz` asks nobody: it is 200 with every dependency silent."""
    answer = await asked(server, client, "/healthz", Check("database", silent))

    assert (answer.status_code, answer.json()) == (200, {"alive": True})


async def test_ready_when_all_that_is_needed_answers(server: Start, client: httpx.AsyncClient) -> None:
    """What is not needed may be down: it is shown, and the role is ready."""
    answer = await asked(server, client, "/readyz", Check("database", fine), Check("kafka", down, needed=False))

    assert answer.status_code == 200
    assert answer.json() == {"ready": True, "checks": {"database": "ok", "kafka": "the database does not answer"}}


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (down, "the database does not answer"),
        (broken, "failed (RuntimeError)"),
        (silent, "no answer within 1 s"),
        (stubborn, "no answer within 1 s"),
    ],
)
async def test_not_ready_when_something_needed_fails(
    server: Start, client: httpx.AsyncClient, run: Callable[[], Awaitable[None]], words: str
) -> None:
    """503 with the dependency's name and what is wrong, in words that hold no address or password."""
    answer = await asked(server, client, "/readyz", Check("database", run), Check("processor", fine))

    assert answer.status_code == 503
    assert answer.json() == {"ready": False, "checks": {"database": words, "processor": "ok"}}


async def test_silent_checks_are_waited_for_side_by_side(server: Start, client: httpx.AsyncClient) -> None:
    """Ten silent dependencies take the time of one: the answer is there before a client of 3 s gives up."""
    client.timeout = httpx.Timeout(3)

    answer = await asked(server, client, "/readyz", *(Check(f"number {n}", silent) for n in range(10)))

    assert set(answer.json()["checks"].values()) == {"no answer within 1 s"}


async def test_not_ready_from_the_moment_shutdown_is_asked_for(server: Start, client: httpx.AsyncClient) -> None:
    """A connection that is still open hears at once that the role is going."""
    shutdown = Shutdown()
    served = await server(application([Check("database", fine)], CollectorRegistry(), shutdown))
    url = f"http://127.0.0.1:{served.port}/readyz"
    before = await client.get(url)

    shutdown.request()
    after = await client.get(url)

    assert (before.status_code, after.status_code) == (200, 503)
    assert after.json() == {"ready": False, "checks": {"shutdown": "was asked for", "database": "ok"}}


async def test_metrics_are_those_of_the_registry(server: Start, client: httpx.AsyncClient) -> None:
    """`/metrics` shows the given registry in Prometheus' text format."""
    registry = CollectorRegistry()
    Counter("payments", "Payments taken.", registry=registry).inc(3)
    served = await server(application([], registry, Shutdown()))

    answer = await client.get(f"http://127.0.0.1:{served.port}/metrics")

    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert "payments_total 3.0" in answer.text


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/nothing", 404), ("GET", "/healthz/", 404), ("POST", "/healthz", 405)]
)
async def test_what_is_not_there_is_a_problem_document(
    server: Start, client: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    """One canonical path: no redirect, no page, but a problem document with our request id."""
    served = await server(application([], CollectorRegistry(), Shutdown()))

    answer = await client.request(method, f"http://127.0.0.1:{served.port}{path}")

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["request-id"] == "request-1"
    assert json.loads(answer.content)["type"].startswith("urn:counterfoil:problem:")
