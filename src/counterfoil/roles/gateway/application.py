"""The gateway as one application. Every answer goes through one table from error to problem document."""

from typing import Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute

from counterfoil.domain.errors import CounterfoilError, InvalidRequest
from counterfoil.roles.gateway import (
    catching_up,
    charges,
    commands,
    customers,
    effects,
    events,
    holds,
    notices,
    orders,
    payments,
    reconciliations,
    refunds,
    screening,
    statuses,
)
from counterfoil.roles.gateway.authentication import Forbidden, Unauthorized
from counterfoil.roles.gateway.charges import CHARGE
from counterfoil.roles.gateway.commands import PROCESS
from counterfoil.roles.gateway.holds import AUTHORIZE
from counterfoil.roles.gateway.refusals import problem_of
from counterfoil.roles.gateway.routing import Gateway
from counterfoil.roles.problems import Kind, Problem, on_error, response
from counterfoil.runtime.metrics import CHARGES

_ASKING: Final = frozenset({CHARGE, PROCESS, AUTHORIZE})
"""Where money is asked for: what is refused there is counted as what is answered there is."""


def application(gateway: Gateway, probes: list[BaseRoute]) -> FastAPI:
    """Return the gateway as an ASGI application."""
    app = FastAPI(
        title="Counterfoil",
        summary="Takes payment orders and sees each one through to money and a record of it.",
        routes=probes,
        docs_url=None,  # its pages load scripts from elsewhere; the document itself is at /openapi.json
        redoc_url=None,
        redirect_slashes=False,  # one canonical path for each thing
    )
    app.add_exception_handler(CounterfoilError, _refused)
    app.add_exception_handler(Unauthorized, _unauthorized)
    app.add_exception_handler(Forbidden, _forbidden)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, on_error)
    app.add_exception_handler(Exception, on_error)
    for routes in (
        charges,
        holds,
        commands,
        payments,
        refunds,
        orders,
        statuses,
        customers,
        screening,
        events,
        effects,
        notices,
        catching_up,
        reconciliations,
    ):
        routes.mount(app, gateway)
    return app


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, CounterfoilError)
    problem = problem_of(error)
    if request.method == "POST" and request.url.path in _ASKING:
        CHARGES.labels(problem.status_code).inc()
    return response(problem)


async def _unauthorized(_request: Request, _error: Exception) -> Response:
    headers = {"WWW-Authenticate": 'Bearer realm="counterfoil"'}
    return response(Problem(Kind.UNAUTHORIZED, "send a token of this gateway as a bearer token", headers=headers))


async def _forbidden(_request: Request, _error: Exception) -> Response:
    return response(Problem(Kind.FORBIDDEN, "this token lacks the scope that the route needs"))


async def _invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    place = str(error.errors()[0]["loc"][-1])
    return response(problem_of(InvalidRequest(place, "is not what the route documents")))
