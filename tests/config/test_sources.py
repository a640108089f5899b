"""OUTBOX_SOURCES: outboxes of other services."""

import json
from typing import Any

import pytest

from counterfoil import config
from counterfoil.config import OutboxSource, Role
from counterfoil.domain.errors import Misconfigured
from counterfoil.runtime.secret import Secret

KAFKA = {"KAFKA_BROKERS": "kafka.example:9092"}
SHOP = {"name": "shop", "database_url": "postgresql://app:hidden@db/shop", "topics": {"OrderPlaced": "orders.placed"}}
EXAMPLE = '[{"name": "shop", "database_url": "postgresql://shop-db/shop", "topics": {"OrderPlaced": "orders.placed"}}]'
LIST = f"must be a JSON list such as {EXAMPLE}"
TABLE = "must be a table's name, or a schema's and a table's: lower-case letters, digits and underscores"


def loaded(*sources: Any, role: Role | None = Role.OUTBOX_PUBLISHER, **more: str) -> config.Settings:
    return config.load({**KAFKA, "OUTBOX_SOURCES": json.dumps(sources), **more}, role)


def refusal(text: str, **more: str) -> str:
    with pytest.raises(Misconfigured) as caught:
        config.load({**KAFKA, "OUTBOX_SOURCES": text, **more}, Role.OUTBOX_PUBLISHER)
    return str(caught.value)


def test_a_source_has_defaults_but_for_its_name_and_topics() -> None:
    """Our own database; the table `outbox`, which notifies a channel of that name, whatever its schema."""
    topics = {"OrderPlaced": "orders.placed"}
    found = loaded(SHOP, {"name": "billing", "table": "billing.outbox", "topics": topics}).outbox_sources
    url = Secret("postgresql://app:hidden@db/shop")
    assert found == (
        OutboxSource(name="shop", database_url=url, table="outbox", topics=topics, channel="outbox"),
        OutboxSource(name="billing", database_url=None, table="billing.outbox", topics=topics, channel="outbox"),
    )
    assert loaded({**SHOP, "channel": "bell"}).outbox_sources[0].channel == "bell"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("hidden", LIST),
        ("{}", LIST),
        ("[]", LIST),
        ("[" * 100_000, LIST),
        ('[{"name": "shop", "name": "hidden"}]', "names something twice in one object"),
        ([SHOP] * 21, "names 21 sources: at most 20"),
        (["hidden"], "number 1: must be an object with a name and topics"),
        ([{**SHOP, "hidden": 1}], "number 1: has a member that is none of: name, database_url, table, topics, channel"),
        ([{"topics": SHOP["topics"]}], "number 1: name is missing"),
        ([{**SHOP, "name": "Hidden"}], "number 1: name must be lower-case letters, digits and dashes, at most 63"),
        ([{**SHOP, "name": None}], "number 1: name must be lower-case letters, digits and dashes, at most 63"),
        (
            [{**SHOP, "database_url": "mysql://hidden"}],
            "number 1: database_url must be an address that starts with postgresql://",
        ),
        (
            [{**SHOP, "database_url": None}],
            "number 1: database_url must be an address that starts with postgresql://",
        ),
        ([{**SHOP, "table": 'hidden"; DROP TABLE x'}], f"number 1: table {TABLE}"),
        ([{**SHOP, "table": "a.b.hidden"}], f"number 1: table {TABLE}"),
        ([{**SHOP, "table": "Hidden"}], f"number 1: table {TABLE}"),
        ([{**SHOP, "table": "x" * 64}], f"number 1: table {TABLE}"),
        (
            [{**SHOP, "channel": "hid den"}],
            "number 1: channel must be the name of a channel: lower-case letters, digits and underscores",
        ),
        (
            [{"name": "shop", "topics": SHOP["topics"]}],
            "number 1: needs a database_url, or another table: this one has our own facts",
        ),
        (
            [{"name": "shop", "topics": SHOP["topics"], "table": "public.outbox"}],
            "number 1: needs a database_url, or another table: this one has our own facts",
        ),
        (
            [{**SHOP, "topics": {}}],
            "number 1: topics must be an object of an event's type and its topic, and name at least one",
        ),
        (
            [{**SHOP, "topics": {"hid den": "x"}}],
            "number 1: topics names a type that is no printable text without spaces",
        ),
        (
            [{**SHOP, "topics": {"X": "hid/den"}}],
            "number 1: topics names a topic that Kafka would not: letters, digits, dots, dashes",
        ),
        (
            [{**SHOP, "topics": {"X": ["hidden"]}}],
            "number 1: topics names a topic that Kafka would not: letters, digits, dots, dashes",
        ),
        (
            [{**SHOP, "topics": {"X": "hidden.dlq"}}],
            "number 1: topics names a topic of dead letters: these are written by themselves",
        ),
        ([SHOP, {**SHOP, "table": "other"}], "gives two sources one name"),
        (
            [SHOP, {**SHOP, "name": "other", "table": "public.outbox"}],
            "names one table twice: each of its rows would have two senders",
        ),
    ],
)
def test_each_mistake_has_its_sentence(given: Any, sentence: str) -> None:
    """It says where and what is wrong, and never the value."""
    found = refusal(given if isinstance(given, str) else json.dumps(given))
    assert found == f"OUTBOX_SOURCES {sentence}"
    assert "hidden" not in found.lower()


def test_the_example_that_a_refusal_gives_is_taken() -> None:
    """Whoever copies it is not refused a second time."""
    assert [one.name for one in loaded(*json.loads(EXAMPLE)).outbox_sources] == ["shop"]


def test_sources_want_kafka() -> None:
    """Their rows are for Kafka and nothing else."""
    with pytest.raises(Misconfigured) as caught:
        config.load({"OUTBOX_SOURCES": json.dumps([SHOP])}, Role.OUTBOX_PUBLISHER)
    assert str(caught.value) == "KAFKA_BROKERS is missing: OUTBOX_SOURCES is set, and its rows are for Kafka"


def test_a_command_that_starts_a_kafka_needs_none() -> None:
    """`up --kafka` is given sources, and makes the brokers."""
    assert len(config.load({"OUTBOX_SOURCES": json.dumps([SHOP])}, None).outbox_sources) == 1


def test_sources_that_are_written_are_read_again() -> None:
    """For a process that we start; nothing is left out or added."""
    sources = loaded(SHOP, {"name": "billing", "table": "billing.outbox", "topics": SHOP["topics"]}).outbox_sources
    assert loaded(*json.loads(config.written_sources(sources))).outbox_sources == sources


def test_no_source_travels_in_the_clear_in_live_mode() -> None:
    """As our own database does not; in test mode it may."""
    clear = {**SHOP, "database_url": "postgresql://app:hidden@db/shop?sslmode=disable"}
    assert len(loaded(clear).outbox_sources) == 1
    found = refusal(json.dumps([clear]), MODE="live", STRIPE_API_BASE="https://api.stripe.com")
    assert found == "OUTBOX_SOURCES has a database with sslmode=disable, and MODE is live"


def test_only_the_publisher_is_given_them() -> None:
    """What another role doesn't hold it can't leak; a person sees that they are set, and no more."""
    gateway = {"STRIPE_KEY": "sk_test_51NotARealKey"}
    assert loaded(SHOP, role=Role.GATEWAY, **gateway).outbox_sources == ()
    shown = {one.name: one.value for one in config.shown({**KAFKA, "OUTBOX_SOURCES": json.dumps([SHOP])})}
    assert shown["OUTBOX_SOURCES"] == "…"
    assert "hidden" not in repr(loaded(SHOP))
