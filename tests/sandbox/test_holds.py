import asyncio
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from stripe_sandbox.sandbox import Server

if TYPE_CHECKING:
    from tests.sandbox.conftest import Http

INTENTS = "/v1/payment_intents"


async def _hold(http: "Http", **sent: Any) -> Any:
    return (await http.post("/_sandbox/hold", json.dumps(sent))).body


async def _held(http: "Http", requests: int = 1) -> Any:
    return (await http.get(f"/_sandbox/hold?wait_seconds=20&held={requests}")).body["held"]


@pytest.mark.parametrize(("when", "executed"), [("before", 0), ("after", 1)])
async def test_a_request_is_held_until_it_is_let_go(http: "Http", server: Server, when: str, executed: int) -> None:
    """Before the work or after it; the list says which request hangs, and releasing it gives its answer."""
    hold = await _hold(http, path=INTENTS, when=when)
    waiting = asyncio.create_task(http.pay(key="k"))
    held = await _held(http)
    found = len(server.sandbox.account().charges)

    await http.send("DELETE", f"/_sandbox/hold/{hold['id']}")
    answer = await waiting

    assert (answer.status, found, answer.headers["Request-Id"]) == (200, executed, held[0]["request"])
    assert (held[0]["hold"], held[0]["when"], held[0]["idempotency_key"]) == (hold["id"], when, "k")
    assert (await http.get("/_sandbox/hold")).body == {"holds": [], "held": []}


async def test_a_held_key_is_in_use(http: "Http") -> None:
    """While the first request hangs before its work, a second with its key is told so."""
    await _hold(http, path=INTENTS)
    waiting = asyncio.create_task(http.pay(key="k"))
    await _held(http)

    refused = await http.pay(key="k")
    await http.send("DELETE", "/_sandbox/hold")

    assert (refused.status, refused.error["code"], (await waiting).status) == (409, "idempotency_key_in_use", 200)


async def test_a_client_can_be_killed_in_mid_air(http: "Http") -> None:
    """A process that dies while its request is held is charged all the same, and its successor finds the answer."""
    await _hold(http, path=INTENTS)
    script = (
        "import sys, urllib.request as u;"
        "u.urlopen(u.Request(sys.argv[1], b'amount=500&currency=usd',"
        "{'Authorization': 'Bearer sk_test_counterfoil', 'Idempotency-Key': 'k'}))"
    )
    with subprocess.Popen([sys.executable, "-c", script, http.url + INTENTS]) as client:
        await _held(http)
        client.kill()
    await http.send("DELETE", "/_sandbox/hold")

    again = await http.post(INTENTS, "amount=500&currency=usd", key="k")
    while again.status == 409:
        again = await http.post(INTENTS, "amount=500&currency=usd", key="k")

    assert (client.returncode, again.headers.get("Idempotent-Replayed")) == (-9, "true")


async def test_a_hold_takes_so_many_and_no_others(http: "Http") -> None:
    """What does not fit passes, and so does what comes after the last that it takes."""
    await _hold(http, method="POST", path="/v1/customers", times=2)
    waiting = [asyncio.create_task(http.post("/v1/customers")) for _ in range(3)]
    held = await _held(http, 2)
    passed = await http.get("/v1/customers")
    done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)

    assert (len(held), passed.status, len(done)) == (2, 200, 1)
    await http.send("DELETE", "/_sandbox/hold")
    await asyncio.gather(*waiting)


async def test_a_hold_can_end_by_itself(http: "Http") -> None:
    """After its seconds a request goes on; the hold stays for the next."""
    await _hold(http, path=INTENTS, seconds=0.05, times=None)

    answers = [await http.pay(), await http.pay()]

    assert [answer.status for answer in answers] == [200, 200]
    assert (await http.get("/_sandbox/hold")).body["holds"][0]["held"] == 2


async def test_a_reset_lets_everything_go(http: "Http", server: Server) -> None:
    """A reset leaves no hold behind; what was held ends without a trace."""
    await _hold(http, path=INTENTS)
    waiting = asyncio.create_task(http.pay())
    await _held(http)

    await http.post("/_sandbox/reset")
    await waiting

    assert (await http.get("/_sandbox/hold")).body == {"holds": [], "held": []}
    assert len(server.sandbox.account().charges) == 0


@pytest.mark.parametrize(
    ("sent", "told"),
    [('{"when": "during"}', "when is one of"), ('{"seconds": -1}', "seconds must be"), ('{"moon": 1}', "no field")],
)
async def test_a_hold_that_cannot_be_is_refused(http: "Http", sent: str, told: str) -> None:
    """With a sentence that says what would be taken."""
    refused = await http.post("/_sandbox/hold", sent)

    assert (refused.status, told in refused.body["error"]) == (400, True)


async def test_an_unknown_hold_cannot_be_released(http: "Http") -> None:
    """404, and what else is held stays held."""
    await _hold(http)

    assert (await http.send("DELETE", "/_sandbox/hold/hold_99")).status == 404
    assert len((await http.get("/_sandbox/hold")).body["holds"]) == 1
    assert (await http.get("/_sandbox/hold?wait_seconds=soon")).status == 400
