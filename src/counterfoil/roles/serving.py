"""How a role listens: uvicorn with our framing (`framing.py`), our signals, and our words for what goes wrong.

`uvicorn.run` would take the signals for itself and end with 143; here the `Shutdown` is asked, and `serve` returns when
what was in hand is answered.
"""

import asyncio
import dataclasses
import errno
import functools
import resource
import socket
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import PurePath
from types import TracebackType
from typing import cast

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.server import Server

from counterfoil.domain.errors import Stop
from counterfoil.roles.framing import BoundedProtocol, Limits, Rules
from counterfoil.roles.problems import FAILED_HERE, response
from counterfoil.runtime.shutdown import Shutdown

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

log = structlog.get_logger()

DRAIN_SECONDS = 15  # by contract; what takes longer is settled by whoever takes the work over
USUAL_LIMITS = Limits()
BACKLOG = 2048  # connections that the kernel may hold for us while we are busy
FILES_KEPT_BACK = 64  # of the process's limit of open files: database connections, logs, whatever is not a client


class PortInUse(Stop):
    """Another program listens there: stop it, or choose another port."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(f"port {port} on {host} is in use by another program: stop it, or choose another port")
        self.host = host
        self.port = port


async def serve(  # noqa: PLR0913 - all by keyword, each a setting of its own
    app: ASGIApp,
    *,
    host: str,
    port: int,
    body_limit_bytes: int,
    shutdown: Shutdown,
    new_request_id: Callable[[], str],
    allowed_hosts: Sequence[str] = (),
    on_ready: Callable[[int], None] | None = None,
    trusted_proxies: Sequence[str] = (),
    limits: Limits = USUAL_LIMITS,
    drain_seconds: int = DRAIN_SECONDS,
) -> None:
    """Serve an application until shutdown is requested, then finish what is in hand and return.

    Args:
        app: Gets HTTP requests only (no lifespan, no websockets), each with its whole body in the first message, and
            with `scope["state"]["request_id"]`, which is also the answer's `Request-Id`.
        host: Name or address to listen on.
        port: 0 takes a free one.
        body_limit_bytes: Largest body; beyond it the answer is 413.
        shutdown: Asked once: no new connection, and an answer to every request that is here. Twice: leave them.
        new_request_id: Source of request ids.
        allowed_hosts: Names (without port) that we answer for; none means any.
        on_ready: Called with the port once connections are accepted.
        trusted_proxies: Addresses or networks whose X-Forwarded-For and -Proto are believed; others' are ignored.
        limits: The other limits, where the usual ones will not do.
        drain_seconds: How long what is in hand may take after shutdown was asked for.

    Raises:
        PortInUse: Another program listens there.
        OSError: The address is not ours, or the port is not for us.
    """
    rules = Rules(
        body_bytes=body_limit_bytes,
        limits=dataclasses.replace(limits, connections=_connections(limits.connections)),
        allowed_hosts=frozenset(name.lower().encode() for name in allowed_hosts),
        new_request_id=new_request_id,
    )
    config = Config(
        _Edge(app),
        http=cast("type[asyncio.Protocol]", functools.partial(BoundedProtocol, rules=rules)),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        headers=[("X-Content-Type-Options", "nosniff")],  # what callers wrote is in our JSON: it is never a page
        proxy_headers=bool(trusted_proxies),
        forwarded_allow_ips=list(trusted_proxies),
        timeout_keep_alive=limits.keep_alive_seconds,
        timeout_graceful_shutdown=drain_seconds,
    )
    with _listening(host, port) as listener:
        chosen = listener.getsockname()[1]
        server = _Server(config, functools.partial(on_ready, chosen) if on_ready else None)
        watch = asyncio.create_task(_obey(shutdown, server))
        try:
            await server.serve(sockets=[listener])
        finally:
            watch.cancel()
            server.drop_connections()


class _Server(Server):
    """uvicorn's, but that it leaves the signals alone and says when it accepts connections."""

    def __init__(self, config: Config, on_started: Callable[[], None] | None) -> None:
        super().__init__(config)
        self._on_started = on_started

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._on_started is not None:
            self._on_started()

    @override
    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, but serve who had connected already: closing alone would reset them."""
        waiting = [connection for listener in sockets or () for connection in _accepted(listener)]
        for server in self.servers:
            server.close()
        loop = asyncio.get_running_loop()
        for connection in waiting:
            await loop.connect_accepted_socket(self._protocol, connection)
        await super().shutdown(sockets)

    def _protocol(self) -> asyncio.Protocol:
        make = cast("Callable[..., asyncio.Protocol]", self.config.http_protocol_class)
        return make(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

    def drop_connections(self) -> None:
        """Cut what is still connected: answered long ago, silent, or over the drain's time."""
        for connection in list(self.server_state.connections):
            connection.transport.abort()


def _accepted(listener: socket.socket) -> Iterator[socket.socket]:
    """Take over the connections that the kernel holds for a listener that is about to be closed."""
    listener.setblocking(False)  # noqa: FBT003 - the standard library's own signature
    with suppress(OSError):  # would block: none is left; or out of files: the rest cannot be helped
        while True:
            yield listener.accept()[0]


async def _obey(shutdown: Shutdown, server: _Server) -> None:
    await shutdown.requested.wait()
    server.should_exit = True
    await shutdown.forced.wait()
    server.force_exit = True
    server.drop_connections()


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(host, port) from None
        raise
    with listener:
        yield listener


def _connections(wanted: int) -> int:
    """As many connections as wanted, but never so many that the process runs out of files."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if files == resource.RLIM_INFINITY else max(1, min(wanted, files - FILES_KEPT_BACK))


class _Edge:
    """The application with its errors caught: recorded by kind and place, answered without a word of theirs."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def noting(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        structlog.contextvars.bind_contextvars(request_id=scope["state"]["request_id"])
        try:
            await self._app(scope, receive, noting)
        except ClientDisconnect:
            return  # nobody is left to answer
        except Exception as error:  # noqa: BLE001 - the role's edge: recorded here, answered here
            where = _place(error.__traceback__)
            log.error("request_failed", error=type(error).__name__, at=where)  # noqa: TRY400 - a trace may hold input
            if not started:
                await response(FAILED_HERE)(scope, receive, send)


def _place(traceback: TracebackType | None) -> str:
    """File and line of the innermost frame; an error's own text may hold what was sent, so it is not logged."""
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    if traceback is None:
        return "?"
    return f"{PurePath(traceback.tb_frame.f_code.co_filename).name}:{traceback.tb_lineno}"
