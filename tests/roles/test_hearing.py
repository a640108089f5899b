"""What is made of a message before anybody works on it (group Q of the bad inputs)."""

from typing import Any

import pytest

from counterfoil.bus.message import Again, Dead, Done, Incoming, Outcome
from counterfoil.roles.hearing import Heard, hearing

ORDER = b'{"event_id": "event-1", "order_id": "order-1"}'


class Working:
    """Keeps what it was given, or fails."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.given: list[Heard] = []
        self._failure = failure

    async def work(self, heard: Heard, _tries: int) -> Outcome:
        """Take one."""
        self.given.append(heard)
        if self._failure is not None:
            raise self._failure
        return Done()


def message(value: bytes | None = ORDER, *, key: bytes | None = b"order-1", **headers: str) -> Incoming:
    return Incoming("orders.placed", 1, 7, key, value, tuple((name, one.encode()) for name, one in headers.items()))


async def outcome(working: Working, incoming: Incoming) -> Outcome:
    return await hearing({"OrderPlaced": working.work})(incoming, 0)


@pytest.mark.parametrize(
    ("incoming", "expected"),
    [
        pytest.param(message(None), Done("tombstone"), id="Q01-tombstone"),
        pytest.param(message(ce_type="OrderForgotten"), Done("unknown_type"), id="Q06-unknown-type"),
        pytest.param(message(ce_type="PaymentFailed"), Done("unknown_type"), id="Q06-of-another-topic"),
    ],
)
async def test_what_is_nobodys_is_passed_over(incoming: Incoming, expected: Outcome) -> None:
    """It is counted by what it is, and nobody works on it."""
    working = Working()
    assert await outcome(working, incoming) == expected
    assert working.given == []


@pytest.mark.parametrize(
    ("incoming", "reason"),
    [
        pytest.param(message(key=None), "no_key", id="Q07-no-key"),
        pytest.param(message(key=b""), "no_key", id="Q07-empty-key"),
        pytest.param(message(ce_dataschema="urn:counterfoil:OrderPlaced:1.0.1"), "newer_version", id="Q04-header"),
        pytest.param(message(ce_dataschema="urn:counterfoil:OrderPlaced:10.0.0"), "newer_version", id="Q04-major"),
        pytest.param(message(b'{"schema_version": "2"}'), "newer_version", id="Q04-body"),
    ],
)
async def test_what_cannot_be_worked_on_is_a_dead_letter(incoming: Incoming, reason: str) -> None:
    """Without a key it has no order; of a later version it waits, as a dead letter, for the program that knows it."""
    working = Working()
    found = await outcome(working, incoming)
    assert isinstance(found, Dead)
    assert (found.reason, working.given) == (reason, [])


@pytest.mark.parametrize(
    "headers",
    [
        {"ce_dataschema": "urn:counterfoil:OrderPlaced:0.9.0"},
        {"ce_dataschema": "urn:counterfoil:OrderPlaced:1.0.0"},
        {"ce_dataschema": "https://shop.example/schemas/order/7"},
        {"ce_time": "1970-01-01T00:00:00Z"},
        {"ce_time": "2100-01-01T00:00:00Z"},
        {"ce_type": "OrderPlaced"},
        {"ce_sequence": "3"},
        {},
    ],
)
async def test_what_is_old_or_dated_oddly_is_worked_on(headers: dict[str, Any]) -> None:
    """An older version (Q05), a gap before it (Q10), a time of any kind (Q16), no header at all."""
    working = Working()
    assert await outcome(working, message(**headers)) == Done()
    assert [one.name for one in working.given] == ["OrderPlaced"]


@pytest.mark.parametrize(
    ("incoming", "known_by"),
    [
        (message(ce_id="said-so"), "said-so"),
        (message(), "event-1"),
        (message(b'{"eventId": "event-2"}'), "event-2"),
        (message(b'{"order_id": "order-1"}'), "orders.placed:1:7"),
        (message(b"no JSON"), "orders.placed:1:7"),
        (message(b'{"event_id": "two words"}', ce_id="x" * 300), "orders.placed:1:7"),
    ],
)
async def test_a_message_is_known_by_one_id(incoming: Incoming, known_by: str) -> None:
    """Its own, else that of its event, else where it stands."""
    working = Working()
    await outcome(working, incoming)
    assert [one.id for one in working.given] == [known_by]


async def test_work_that_fails_is_a_try() -> None:
    """Whatever it fails with (Q15): it is tried again, and counted."""
    assert await outcome(Working(ZeroDivisionError("by design")), message()) == Again("ZeroDivisionError")
