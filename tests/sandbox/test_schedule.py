import asyncio

import pytest
from tests.sandbox.conftest import NOON

from stripe_sandbox.account import Account
from stripe_sandbox.clock import Clock
from stripe_sandbox.sandbox import Sandbox
from stripe_sandbox.schedule import due


@due
def _nothing(account: Account) -> None:
    assert not account.livemode


@pytest.mark.parametrize("turns", range(6))
async def test_it_ends_when_told_whatever_comes_at_that_moment(turns: int) -> None:
    """A cancellation is heard though something new is put beside it: on SIGTERM the sandbox waits for this end."""
    sandbox = Sandbox(clock=Clock(lambda: NOON))
    sandbox.schedule.after(90, _nothing, sandbox.account())
    keeping = asyncio.create_task(sandbox.schedule.keep())
    await asyncio.sleep(0.01)

    sandbox.schedule.after(60, _nothing, sandbox.account())
    for _ in range(turns):
        await asyncio.sleep(0)
    keeping.cancel()
    ended, _ = await asyncio.wait({keeping}, timeout=5)
    keeping.cancel()

    assert ended == {keeping}
