"""The schemas of messages, as they were published: generated from the types, checked in, and only ever added to."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from counterfoil.messages.decoding import decode
from counterfoil.messages.schemas import FOLDER, schema_of, text_of
from counterfoil.messages.topics import TOPICS, Direction, Spoken, Topic, spoken

GOLDEN = Path(__file__).parent / "golden"
ALL = [pytest.param(topic, message, id=message.file_name) for topic, message in spoken()]


def broken(published: dict[str, Any], now: dict[str, Any], *, heard: bool) -> Iterator[str]:
    """Yield what somebody who keeps to the published schema would trip over: fields are only ever added."""
    before, after = published.get("properties", {}), now.get("properties", {})
    for name, field in before.items():
        if name not in after:
            yield f"{name} is gone"
        elif field != after[name]:
            yield f"{name} is another"
    demanded, promised = set(now.get("required", ())), set(published.get("required", ()))
    if heard:
        yield from (f"{name} is demanded" for name in sorted(demanded - promised))
    else:
        yield from (f"{name} is not promised any more" for name in sorted(promised - demanded))
    for name, part in published.get("$defs", {}).items():
        yield from broken(part, now.get("$defs", {}).get(name, {}), heard=heard)
        if part.get("enum") != now.get("$defs", {}).get(name, {}).get("enum"):
            yield f"{name} has other values"


@pytest.mark.parametrize(("topic", "message"), ALL)
def test_every_schema_is_as_its_file_has_it(topic: Topic, message: Spoken) -> None:
    """Who changes a type sees the schema change; `python -m counterfoil.messages.schemas` renews the files."""
    assert text_of(topic, message) == (FOLDER / message.file_name).read_text("utf-8")


@pytest.mark.parametrize(("topic", "message"), ALL)
def test_a_golden_sample_of_every_version_fits_its_schema(topic: Topic, message: Spoken) -> None:
    """What was published can be read by whoever reads by the schema, and what we hear by ourselves."""
    raw = (GOLDEN / message.file_name).read_bytes()
    schema = schema_of(topic, message)
    Draft202012Validator.check_schema(schema)
    assert [error.message for error in Draft202012Validator(schema).iter_errors(json.loads(raw))] == []
    if topic.direction is Direction.IN:
        read = decode(raw, message.model, as_message=message.name != "OrderPlaced")
        assert read.model_fields_set == set(message.model.model_fields), "a sample has every field"


@pytest.mark.parametrize(("topic", "message"), ALL)
def test_a_published_version_does_not_change(topic: Topic, message: Spoken) -> None:
    """The golden schema of a version stays for ever: another shape is another version, beside it."""
    published = json.loads((GOLDEN / "schemas" / message.file_name).read_text("utf-8"))
    heard = topic.direction is Direction.IN
    assert list(broken(published, schema_of(topic, message), heard=heard)) == []


def test_every_version_that_was_published_is_still_there() -> None:
    """No file of a schema, of a golden one or of a golden sample is without its message."""
    names = sorted(message.file_name for _, message in spoken())
    assert sorted(path.name for path in FOLDER.iterdir()) == names
    assert sorted(path.name for path in (GOLDEN / "schemas").iterdir()) == names
    assert sorted(path.name for path in GOLDEN.glob("*.json")) == names


@pytest.mark.parametrize(
    ("change", "heard", "found"),
    [
        ({"properties": {}}, False, ["a is gone"]),
        ({"properties": {"a": {"type": "string"}}}, False, ["a is another"]),
        ({"required": []}, False, ["a is not promised any more"]),
        ({"required": ["a", "b"]}, True, ["b is demanded"]),
        ({"required": ["a", "b"]}, False, []),
        ({"properties": {"a": {"type": "integer"}, "b": {}}}, True, []),
        ({"$defs": {"E": {"enum": ["x"]}}}, False, ["E has other values"]),
    ],
)
def test_a_change_that_breaks_somebody_is_seen(change: dict[str, Any], *, heard: bool, found: list[str]) -> None:
    """A field that is gone, is another, is promised no more, or is demanded of old senders; none that is added."""
    published = {
        "properties": {"a": {"type": "integer"}},
        "required": ["a"],
        "$defs": {"E": {"enum": ["x", "y"]}},
    }
    assert list(broken(published, {**published, **change}, heard=heard)) == found


def test_each_message_is_on_one_topic() -> None:
    """A reader of a topic knows what may come."""
    names = [message.name for topic in TOPICS for message in topic.messages]
    assert len(names) == len(set(names))
