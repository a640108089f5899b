"""What every role tells those who watch it: it lives, it is ready (or what is missing), its metrics.

The three routes ask for no credentials and tell nothing that would need any: checks are named, errors are in our words.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from counterfoil.domain.errors import CounterfoilError
from counterfoil.roles.problems import EXCEPTION_HANDLERS
from counterfoil.runtime.shutdown import Shutdown

CHECK_SECONDS = 1.0  # a probe's usual patience; whoever asks must hear of a silent dependency, not wait with us


@dataclass(frozen=True, slots=True)
class Check:
    """One thing a role depends on.

    Attributes:
        name: As shown: a noun such as `database`.
        run: Returns if all is well, raises if not. Cut off after a second.
        needed: Whether the role is not ready without it.
    """

    name: str
    run: Callable[[], Awaitable[None]]
    needed: bool = True


def routes(
    checks: Sequence[Check],
    registry: CollectorRegistry,
    shutdown: Shutdown,
    *,
    patience_seconds: float = CHECK_SECONDS,
) -> list[Route]:
    """Return the three routes, for a role that has others beside them."""

    async def alive(_request: Request) -> Response:
        return JSONResponse({"alive": True})

    async def ready(_request: Request) -> Response:
        results = await run_checks(checks, patience_seconds=patience_seconds)
        missing = [check.name for check in checks if check.needed and results[check.name] != "ok"]
        if shutdown.requested.is_set():
            results = {"shutdown": "was asked for", **results}
            missing.append("shutdown")
        return JSONResponse({"ready": not missing, "checks": results}, status_code=503 if missing else 200)

    async def metrics(_request: Request) -> Response:
        return Response(generate_latest(registry), headers={"content-type": CONTENT_TYPE_LATEST})

    return [Route("/healthz", alive), Route("/readyz", ready), Route("/metrics", metrics)]


def application(checks: Sequence[Check], registry: CollectorRegistry, shutdown: Shutdown) -> Starlette:
    """Return an application of the three routes alone, for a role that listens for nothing else."""
    app = Starlette(
        routes=routes(checks, registry, shutdown),
        exception_handlers=EXCEPTION_HANDLERS,
    )
    app.router.redirect_slashes = False  # one path, one meaning
    return app


async def run_checks(checks: Sequence[Check], *, patience_seconds: float = CHECK_SECONDS) -> dict[str, str]:
    """Run all checks side by side and return for each name `ok`, or what is wrong in words that hold no secret.

    Takes no longer than the patience: a check that does not even hear its cancellation is left to itself.
    """
    tasks = {check.name: asyncio.ensure_future(check.run()) for check in checks}
    if tasks:
        await asyncio.wait(tasks.values(), timeout=patience_seconds)
    return {name: _outcome(task, patience_seconds) for name, task in tasks.items()}


def _outcome(task: "asyncio.Future[None]", patience_seconds: float) -> str:
    if not task.done():
        task.add_done_callback(_forget)
        task.cancel()
        return f"no answer within {patience_seconds:g} s"
    error = None if task.cancelled() else task.exception()
    if isinstance(error, CounterfoilError):
        return str(error)  # written to be shown
    if error is not None:
        return f"failed ({type(error).__name__})"  # a driver's own words may hold an address with a password
    return "was cut off" if task.cancelled() else "ok"


def _forget(task: "asyncio.Future[None]") -> None:
    """Look at a late result, so that asyncio does not complain that nobody did."""
    if not task.cancelled():
        task.exception()
