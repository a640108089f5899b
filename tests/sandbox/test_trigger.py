import ast
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import stripe_sandbox
from stripe_sandbox.sandbox import Server
from stripe_sandbox.trigger import RECIPES

if TYPE_CHECKING:
    from tests.sandbox.conftest import Http, Receiver

EVENT = re.compile(
    r"(cash_balance|charge|customer|customer_cash_balance_transaction|payment_intent|payment_method|refund)(\.[a-z_]+)+"
)
SOURCES = Path(stripe_sandbox.__file__).parent


def _emitted() -> set[str]:
    """Every event type that the sandbox's code can make: it names each as a whole, and nothing else looks like one."""
    texts: set[str] = set()
    for file in SOURCES.rglob("*.py"):
        if file.name not in {"trigger.py", "remote.py"}:
            nodes = ast.walk(ast.parse(file.read_text()))
            texts |= {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return {text for text in texts if EVENT.fullmatch(text)}


@pytest.mark.parametrize("type_", RECIPES)
async def test_each_event_can_be_made_to_happen(http: "Http", type_: str) -> None:
    """The answer has an event of that type, with its object as the API now shows it."""
    made = (await http.post("/_sandbox/trigger", json.dumps({"event": type_}))).body["events"]

    listed = (await http.get("/v1/events?limit=100")).body["data"]
    assert type_ in {event["type"] for event in made}
    assert [event["id"] for event in made] == [event["id"] for event in reversed(listed)]


def test_there_is_a_recipe_for_every_event() -> None:
    """What the sandbox can tell, it can be made to tell."""
    assert set(RECIPES) == _emitted()


async def test_what_is_triggered_is_delivered(http: "Http", server: Server, receiver: "Receiver") -> None:
    """Endpoints hear of it as of anything else."""
    await http.post("/v1/webhook_endpoints", {"url": receiver.url, "enabled_events[]": "charge.captured"})

    await http.post("/_sandbox/trigger", '{"event": "charge.captured"}')
    await server.sandbox.settle()

    assert [json.loads(body)["type"] for _, body in receiver.received] == ["charge.captured"]


@pytest.mark.parametrize("sent", ["{}", '{"event": "moon.landed"}', '{"event": 7}', "[]"])
async def test_an_unknown_event_is_refused(http: "Http", sent: str) -> None:
    """The sentence lists those that are known, and nothing is made."""
    refused = await http.post("/_sandbox/trigger", sent)

    assert (refused.status, await http.event_types()) == (400, [])


async def test_the_known_events_are_listed(http: "Http") -> None:
    """A program can ask which there are."""
    assert (await http.get("/_sandbox/trigger")).body["events"] == list(RECIPES)


async def test_a_dump_is_everything_that_is_held(http: "Http") -> None:
    """Objects of both modes by kind, oldest first, as the API shows them; and no signing secret."""
    paid = (await http.pay()).body
    await http.send("POST", "/v1/customers", headers={"Authorization": "Bearer sk_live_x"})
    endpoint = (await http.post("/v1/webhook_endpoints", {"url": "http://127.0.0.1:9/", "enabled_events[]": "*"})).body

    dump = (await http.get("/_sandbox/dump")).body

    assert dump["test"]["payment_intents"] == [paid]
    assert [len(dump["test"]["charges"]), len(dump["test"]["events"]), len(dump["live"]["customers"])] == [1, 3, 1]
    assert dump["test"]["customers"] == []
    assert endpoint["secret"] not in json.dumps(dump)


async def test_what_is_triggered_happens_once(http: "Http") -> None:
    """A dispute and a failed refund do not come again when their time would have come."""
    made = [
        (await http.post("/_sandbox/trigger", json.dumps({"event": type_}))).body["events"]
        for type_ in ("charge.dispute.created", "refund.failed")
    ]

    await http.advance(30 * 86_400)

    types = await http.event_types()
    assert sum(len(events) for events in made) < len(types)
    assert [types.count("charge.dispute.created"), types.count("refund.failed")] == [1, 1]
