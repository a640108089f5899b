import asyncio
import itertools
import json
import subprocess
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from tests.broker import LACKING, WHY_SKIPPED, Kafka

from counterfoil.bus import letters
from counterfoil.bus.dead_letters import dead_letter
from counterfoil.bus.message import Dead, Incoming

Command = Callable[..., subprocess.CompletedProcess[str]]

needs_kafka = pytest.mark.skipif(bool(LACKING), reason=WHY_SKIPPED)
NUMBERS = itertools.count(1)
CAME = (("ce_id", b"event-1"), ("ce_type", b"OrderPlaced"))


async def died(kafka: Kafka, name: str, count: int, reason: str, value: bytes = b"{}") -> None:
    """Put dead letters on the topic of those of orders."""
    for number in range(count):  # one after another, as they are to have this order
        message = Incoming("orders.placed", 0, number, f"{name}-{number}".encode(), value, CAME)
        await kafka.say(dead_letter(message, Dead(reason, "as it is"), 8))


def listed(counterfoil: Command, kafka: Kafka, name: str) -> list[dict[str, Any]]:
    done = counterfoil("dlq", "list", "--json", settings={"KAFKA_BROKERS": kafka.brokers})
    assert done.returncode == 0, done.stderr
    return [one for one in json.loads(done.stdout) if one["key"].startswith(name)]


def keys(found: Sequence[dict[str, Any]]) -> list[str]:
    return sorted(one["key"] for one in found)


@needs_kafka
@pytest.mark.asyncio(loop_scope="session")
async def test_letters_are_replayed_and_dropped_one_by_one(kafka: Kafka, counterfoil: Command) -> None:
    """In any order, and each once: what is replayed is on its topic as it came, and neither waits any more."""
    name, settings = f"letters-{next(NUMBERS)}", {"KAFKA_BROKERS": kafka.brokers}
    await died(kafka, name, 6, "tries")
    found = await asyncio.to_thread(listed, counterfoil, kafka, name)
    by_key = {one["key"]: one for one in found}
    first = by_key[f"{name}-0"]
    assert (first["reason"], first["error"], first["attempts"], first["origin"]) == (
        "tries",
        "as it is",
        8,
        "orders.placed:0:0",
    )

    replayed = counterfoil("dlq", "replay", *(by_key[f"{name}-{one}"]["id"] for one in (4, 1)), settings=settings)
    dropped = counterfoil("dlq", "drop", by_key[f"{name}-2"]["id"], settings=settings)
    again = counterfoil("dlq", "replay", by_key[f"{name}-4"]["id"], settings=settings)
    assert (replayed.returncode, dropped.returncode, again.returncode) == (0, 0, 1)
    assert again.stderr == f"counterfoil: no dead letter {by_key[f'{name}-4']['id']} waits\n"

    left = await asyncio.to_thread(listed, counterfoil, kafka, name)
    assert keys(left) == [f"{name}-{number}" for number in (0, 3, 5)]
    counted = await letters.count(kafka.config)
    assert sum(counted.values()) == len(await letters.waiting(kafka.config))  # with gaps, and those of other tests
    ends = sum(end for _, end in await kafka.ends("orders.placed"))
    back = [
        one
        for one in await kafka.heard("orders.placed", lambda found: len(found) >= ends)
        if (one.key() or b"").startswith(name.encode())
    ]
    assert sorted((one.key(), one.value(), tuple(one.headers() or [])) for one in back) == [
        (f"{name}-{number}".encode(), b"{}", CAME) for number in (1, 4)
    ]


@needs_kafka
@pytest.mark.asyncio(loop_scope="session")
async def test_all_of_a_reason_are_dropped_at_once(kafka: Kafka, counterfoil: Command) -> None:
    """And no others; what came without its value is not replayed."""
    name, settings = f"letters-{next(NUMBERS)}", {"KAFKA_BROKERS": kafka.brokers}
    await died(kafka, f"{name}-a", 3, "of-this-test")
    await died(kafka, f"{name}-b", 2, "card-data-not-accepted", b'{"cvc": "123"}')
    done = counterfoil("dlq", "drop", "--all", "--reason", "of-this-test", "--json", settings=settings)
    assert (done.returncode, len(json.loads(done.stdout)["dropped"])) == (0, 3)
    left = await asyncio.to_thread(listed, counterfoil, kafka, name)
    assert keys(left) == [f"{name}-b-0", f"{name}-b-1"]
    refused = counterfoil("dlq", "replay", left[0]["id"], settings=settings)
    assert (refused.returncode, "does not have what it said" in refused.stderr) == (1, True)


@needs_kafka
@pytest.mark.parametrize("what", ["replay", "drop"])
def test_where_no_such_letter_waits_nothing_is_done(kafka: Kafka, counterfoil: Command, what: str) -> None:
    """It is no failure, and nobody is told that Kafka is away."""
    done = counterfoil("dlq", what, "--all", "--reason", "of-nobody", settings={"KAFKA_BROKERS": kafka.brokers})
    assert (done.returncode, done.stderr) == (0, "")
    assert "no such letter waits" in done.stdout


@pytest.mark.parametrize("which", [(), ("orders.placed.dlq:0:1", "--all")])
@pytest.mark.parametrize("what", ["replay", "drop"])
def test_which_letters_is_said_one_way(counterfoil: Command, what: str, which: tuple[str, ...]) -> None:
    """Names, or all: neither none nor both."""
    done = counterfoil("dlq", what, *which, settings={"KAFKA_BROKERS": "127.0.0.1:9"})
    assert (done.returncode, "or say --all" in done.stderr) == (2, True)


def test_brokers_have_to_be_named(counterfoil: Command) -> None:
    """One line says which setting is missing."""
    done = counterfoil("dlq", "list")
    assert (done.returncode, done.stderr) == (78, "counterfoil: KAFKA_BROKERS is missing: where Kafka is\n")


@pytest.mark.parametrize("offsets", [set(), {7}, {1, 2, 3, 9, 11, 12}, set(range(2000))])
def test_offsets_are_written_shortly_and_read_again(offsets: set[int]) -> None:
    """Neighbours stand together."""
    assert letters.read(letters.written(offsets)) == offsets
    assert letters.written({1, 2, 3, 9, 11, 12}) == "1-3,9,11-12"
