import json
import subprocess
import sys
from collections.abc import AsyncIterator
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import aiohttp
import pytest
from tests.sandbox.conftest import KEY, NOON, Http

from stripe_sandbox.clock import Clock
from stripe_sandbox.sandbox import Sandbox, Server

LIMIT = 5
TOO_MANY = 429


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with Sandbox(clock=Clock(lambda: NOON), rate_limit=LIMIT).serve() as running:
        yield running


async def _statuses(http: Http, count: int, key: str = KEY) -> list[int]:
    return [(await http.get("/v1/charges", Authorization=f"Bearer {key}")).status for _ in range(count)]


async def test_no_second_takes_more_than_the_limit(http: Http) -> None:
    """What is beyond it is refused and not counted; each request makes room again a second after it came."""
    first = await _statuses(http, 2)
    await http.advance(0.75)
    burst = await _statuses(http, 5)
    await http.advance(0.25)
    later = await _statuses(http, 3)

    assert (first, burst, later) == ([200] * 2, [200] * 3 + [429] * 2, [200] * 2 + [429])


async def test_the_limit_is_told_as_stripe_tells_it(http: Http) -> None:
    """429, the code `rate_limit`, and in a header that it is the account's own limit; each is in the log."""
    await _statuses(http, LIMIT)
    refused = await http.pay(key="k-1")

    assert (refused.status, refused.error["code"]) == (429, "rate_limit")
    assert refused.headers["Stripe-Rate-Limited-Reason"] == "global-rate"
    log = (await http.get("/_sandbox/requests?idempotency_key=k-1")).body["requests"]
    assert [(entry["status"], entry["error_code"]) for entry in log] == [(429, "rate_limit")]


async def test_it_comes_before_the_idempotency_layer_and_uses_up_no_fault(http: Http) -> None:
    """The key is free, and the script waits for a request that gets that far."""
    await http.send("POST", "/_sandbox/faults", '{"fault": "lock_timeout", "path": "/v1/payment_intents"}')
    await _statuses(http, LIMIT)
    refused = await http.pay(key="k-1")
    await http.advance(1)
    locked, paid = await http.pay(key="k-1"), await http.pay(key="k-1", amount="2000")

    assert [refused.error["code"], locked.error["code"], paid.status] == ["rate_limit", "lock_timeout", 200]


async def test_each_mode_has_its_own(http: Http) -> None:
    """Test requests never use up what live ones may do."""
    await _statuses(http, LIMIT)

    assert await _statuses(http, 1, "sk_live_x") == [200]
    assert await _statuses(http, 1) == [429]


async def test_without_a_limit_none_is_refused() -> None:
    """As it starts unless told otherwise: many more than Stripe would take, in one moment."""
    async with Sandbox(clock=Clock(lambda: NOON)).serve() as server, aiohttp.ClientSession() as session:
        assert await _statuses(Http(session, server.url), 150) == [200] * 150


def test_the_command_takes_it() -> None:
    """`--rate-limit 1` is what `Sandbox(rate_limit=1)` is."""
    command = [sys.executable, "-m", "stripe_sandbox", "--port", "0", "--json", "--rate-limit", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        asked = Request(f"{url}/v1/charges", headers={"Authorization": f"Bearer {KEY}"})  # noqa: S310 - our own address
        seen = set()
        for _ in range(20):  # a second may begin between two of them, and hardly between each two
            try:
                with urlopen(asked, timeout=10) as answer:  # noqa: S310 - the same
                    seen.add(answer.status)
            except HTTPError as error:
                seen.add(error.code)
        process.kill()

    assert seen == {200, TOO_MANY}
