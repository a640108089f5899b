import asyncio
from collections.abc import Callable

import uvloop


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Roles run on uvloop, whose transports differ from asyncio's own in small ways: so do these tests.

    In this folder alone: with such a hook every fixture of a wider scope is made anew for each test.
    """
    return {"uvloop": uvloop.new_event_loop}
