"""Trying again what the database refused only because of who else was there."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

TRIES: Final = 3
"""Two rivals that deadlocked once rarely do again; a third time is a fault that must be seen."""

_Result = TypeVar("_Result")


async def again_on(
    errors: tuple[type[Exception], ...],
    work: Callable[[], Awaitable[_Result]],
    *,
    tries: int = TRIES,
) -> _Result:
    """Return what ``work`` returns, running it anew when it raises one of ``errors``, ``tries`` times at most.

    Raises:
        Exception: what the last try raised.
    """
    for _ in range(tries - 1):
        try:
            return await work()
        except errors:
            continue
    return await work()
