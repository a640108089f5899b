from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from counterfoil.cli import findings
from counterfoil.cli.findings import Level
from counterfoil.config import SigningSecret
from counterfoil.processors.stripe.account import Endpoint, Greeting, SeenEvent
from counterfoil.runtime.secret import Secret
from counterfoil.store.health import ServerHealth, Waiting, Work
from counterfoil.store.notices import Parked

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
VERSION = "2024-06-20"
SERVER = ServerHealth(
    version=150004, standby=False, synchronous_commit="on", fsync=True, full_page_writes=True, encoding="UTF8",
    connections=97, connected=20, direct=True, clock=NOW,
)  # fmt: skip
NOTHING = Waiting(0, None)
IDLE = Work(NOTHING, NOTHING, NOTHING, NOTHING, open=0, in_doubt=0, parked=0)
ENDPOINT = Endpoint(
    "we_1", "https://shop.example/webhooks/stripe", enabled=True, types=frozenset({"*"}), api_version=VERSION,
    livemode=False, created_at=NOW,
)  # fmt: skip


def levels(found: list[findings.Finding]) -> list[tuple[str, Level]]:
    return [(one.check, one.level) for one in found]


@pytest.mark.parametrize(
    ("changed", "check"),
    [
        ({"version": 140011}, "database"),
        ({"standby": True}, "database"),
        ({"encoding": "LATIN1"}, "database"),
        ({"synchronous_commit": "off"}, "durability"),
        ({"fsync": False}, "durability"),
        ({"full_page_writes": False}, "durability"),
        ({"direct": False}, "connections"),
    ],
)
def test_a_server_that_cannot_keep_our_promises_is_a_failure(changed: dict[str, object], check: str) -> None:
    """Each by itself; with all of them as they should be there is one line, and it is good."""
    assert levels(findings.of_server(replace(SERVER, **changed))) == [(check, Level.FAILURE)]  # type: ignore[arg-type]  # of several fields
    assert levels(findings.of_server(SERVER)) == [("database", Level.OK)]


def test_a_server_that_fills_up_is_a_warning() -> None:
    """From four fifths of its connections on."""
    full = [findings.of_server(replace(SERVER, connected=taken))[0].level for taken in (77, 78)]
    assert full == [Level.OK, Level.WARNING]


@pytest.mark.parametrize(
    ("version", "days", "told"),
    [
        (4, 14, [("schema", Level.OK)]),
        (3, 14, [("schema", Level.FAILURE)]),
        (5, 14, [("schema", Level.WARNING)]),
        (4, 7, [("schema", Level.OK)]),
        (4, 6, [("partitions", Level.WARNING)]),
        (4, 1, [("partitions", Level.FAILURE)]),
    ],
)
def test_the_schema_is_ours_and_has_room(version: int, days: int, told: list[tuple[str, Level]]) -> None:
    """An older one fails, a newer one is a roll-out under way; partitions run out in time to be seen."""
    assert levels(findings.of_schema(version, 4, days)) == told


@pytest.mark.parametrize(
    ("seconds", "level"), [(0, "ok"), (-120, "ok"), (121, "warning"), (-240, "warning"), (241, "failure")]
)
def test_clocks_may_be_two_minutes_apart(seconds: int, level: str) -> None:
    """More is a warning, and from four minutes on deliveries will be refused; ahead or behind (G20)."""
    (found,) = findings.of_clock("Stripe", NOW - timedelta(seconds=seconds), NOW)
    assert (found.check, found.level) == ("clock", level)


def test_a_peer_that_does_not_say_its_time_is_a_warning() -> None:
    """A proxy may take the header away; then nobody can tell."""
    assert levels(findings.of_clock("Stripe", None, NOW)) == [("clock", Level.WARNING)]


def test_an_answer_in_another_version_is_a_failure() -> None:
    """Whatever reads it expects the one that was asked for."""
    assert levels(findings.of_greeting(Greeting(None, NOW, "2025-01-01"), "test", VERSION)) == [
        ("key", Level.OK),
        ("version", Level.FAILURE),
    ]


@pytest.mark.parametrize(
    ("own", "default", "level"),
    [(VERSION, None, "ok"), (None, VERSION, "ok"), (None, None, "ok"), (None, "2020-08-27", "warning")],
)
def test_an_endpoint_without_a_version_has_the_accounts(own: str | None, default: str | None, level: str) -> None:
    """What that is shows in the account's latest event; where there is none, nothing is known to be wrong."""
    (found,) = findings.of_endpoints(
        [replace(ENDPOINT, api_version=own)], {"charge.failed"}, VERSION, default, live=False
    )
    assert found.level == level


@pytest.mark.parametrize(("live", "levels_told"), [(False, [Level.OK]), (True, [Level.FAILURE])])
def test_what_the_key_opens_is_of_our_mode(*, live: bool, levels_told: list[Level]) -> None:
    """An endpoint of test mode, shown to an installation that is live, means that its key is the wrong one."""
    found = findings.of_endpoints([ENDPOINT], set(), VERSION, None, live=live)
    assert [one.level for one in found] == levels_told


def test_an_upgrade_under_way_is_told_apart_from_a_double() -> None:
    """Two endpoints of one address are meant for a while, and the remedy is another."""
    second = replace(ENDPOINT, id="we_2", url=f"{ENDPOINT.url}/")
    (double,) = findings.of_endpoints([ENDPOINT, second], set(), VERSION, None, live=False)
    (under_way,) = findings.of_endpoints([ENDPOINT, replace(second, replaces="we_1")], set(), VERSION, None, live=False)
    assert [double.line, under_way.line] == [f"we_1 and we_2 have the same address, {ENDPOINT.url}"] * 2
    remedies = [one.remedy or "" for one in (double, under_way)]
    assert [("delete all but one" in one, "--finish" in one) for one in remedies] == [(True, False), (False, True)]


@pytest.mark.parametrize(
    ("had", "level"),
    [({"evt_1", "evt_2"}, "ok"), ({"evt_2"}, "warning"), ({"evt_1"}, "failure"), (set(), "failure")],
)
def test_events_that_did_not_come_are_missed(had: set[str], level: str) -> None:
    """Where the latest is missing nothing comes; an earlier one was lost. The youngest are still on their way."""
    ages = {"evt_0": 0, "evt_2": 3, "evt_1": 60}
    events = [SeenEvent(name, "charge.failed", NOW - timedelta(minutes=age), VERSION, 0) for name, age in ages.items()]
    (found,) = findings.of_events(events, dict.fromkeys(had, NOW), NOW, NOW - timedelta(minutes=60))
    assert (found.check, found.level) == ("events", level)
    (later,) = findings.of_events(events, {}, NOW, NOW - timedelta(minutes=2))
    assert later.level is Level.OK, "what happened before there was an endpoint could not come"


@pytest.mark.parametrize("what", ["notices", "facts", "payments", "refunds"])
@pytest.mark.parametrize(("minutes", "level"), [(1, "ok"), (2, "warning"), (11, "failure")])
def test_what_waits_too_long_is_told(what: str, minutes: int, level: str) -> None:
    """A minute is ordinary; after ten nobody does it, or not fast enough."""
    (found,) = findings.of_work(replace(IDLE, **{what: Waiting(3, NOW - timedelta(minutes=minutes))}), NOW)  # type: ignore[arg-type]  # of several fields
    assert found.level == level


def test_what_waits_for_a_person_is_a_warning() -> None:
    """Payments in doubt, and effects that are parked."""
    assert levels(findings.of_work(replace(IDLE, in_doubt=1, parked=2), NOW)) == [
        ("payments", Level.WARNING),
        ("effects", Level.WARNING),
    ]


def test_a_signing_secret_that_is_over_is_told() -> None:
    """Beside one that is good it is a warning; with none that is good no delivery is taken."""
    over, good = SigningSecret(Secret("whsec_old"), NOW - timedelta(seconds=1)), SigningSecret(Secret("whsec_new"))
    assert findings.of_ends([good], NOW) == []
    (one,), (all_of_them,) = findings.of_ends([good, over], NOW), findings.of_ends([over], NOW)
    assert (one.level, one.line) == (Level.WARNING, "of 2 the end has passed of number 2")
    assert (all_of_them.check, all_of_them.level) == ("secrets", Level.FAILURE)


def test_a_secret_that_everybody_may_read_is_told() -> None:
    """By the setting that names its file."""
    assert levels(findings.of_open_files(["STRIPE_KEY"])) == [("settings", Level.WARNING)]


def test_parked_notices_are_told() -> None:
    """What waits for a person at once; what names a payment that is not here once that can no longer be a race."""
    fresh, old = NOW - timedelta(minutes=59), NOW - timedelta(minutes=61)
    assert findings.of_parked(Parked(1, fresh, 0, None), NOW) == []
    found = findings.of_parked(Parked(3, old, 2, fresh), NOW)
    assert [one.line.partition(" ")[0] for one in found] == ["2", "3"]
    assert levels(found) == [("notices", Level.WARNING)] * 2
