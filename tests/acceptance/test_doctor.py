"""Faults planted in a running installation, one at a time: `counterfoil doctor` names each, and what to do about it."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx
import pytest
import pytest_asyncio
from tests.relay import Relay
from tests.stage import KEY, Running, Stage, authority, becomes, fetch, free_port, order
from typing_extensions import override

from counterfoil.processors.stripe.notices import HANDLED_EVENTS

WRONG_SECRET = "whsec_that_nobody_signs_with"
OTHER_VERSION = "2023-10-16"
DATABASE = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I {}', current_database()); END $$"


@dataclass(frozen=True, slots=True)
class Report:
    """What the doctor printed, check by check, and its exit code."""

    code: int
    found: list[dict[str, Any]]
    text: str

    def ill(self) -> list[tuple[str, str]]:
        """Return each check that did not end well, with its level."""
        return [(one["check"], one["level"]) for one in self.found if one["level"] != "ok"]


@dataclass(frozen=True, slots=True)
class Installation:
    """A receiver, a worker and a publisher at work, an endpoint at the sandbox, and a payment that was made."""

    stage: Stage
    worker: Running
    endpoint: str
    receiver: str
    secret: str

    def examine(self, *arguments: str, **changes: str) -> Report:
        """Run the doctor with the installation's settings, but for those that are changed."""
        settings = {
            "DATABASE_URL": self.stage.database_url,
            "STRIPE_KEY": KEY,
            "STRIPE_API_BASE": self.stage.sandbox_url,
            "STRIPE_WEBHOOK_SECRETS": self.secret,
            **changes,
        }
        done = subprocess.run(
            [sys.executable, "-m", "counterfoil", "doctor", "--json", *arguments],
            cwd=self.stage.folder,
            env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC", **settings},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return Report(done.returncode, json.loads(done.stdout or "[]"), done.stdout + done.stderr)

    async def at_stripe(self, method: str, path: str, form: Mapping[str, Any] | None = None) -> Any:
        """Do something in the account at the sandbox."""
        async with httpx.AsyncClient(base_url=self.stage.sandbox_url, trust_env=False) as client:
            answer = await client.request(method, path, data=form, headers={"Authorization": f"Bearer {KEY}"})
        return answer.raise_for_status().json()

    async def execute(self, *statements: str) -> None:
        """Do something to the database, behind everybody's back."""
        connection = await asyncpg.connect(self.stage.database_url)
        for statement in statements:
            await connection.execute(statement)
        await connection.close()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def installation(shared_stage: Stage) -> AsyncIterator[Installation]:
    """A whole installation that has taken a payment and heard of it."""
    stage, port = shared_stage, free_port()
    gateway = stage.start("gateway")
    receiver = f"http://127.0.0.1:{port}"
    form = {
        "url": f"{receiver}/webhooks/stripe",
        "enabled_events[]": sorted(HANDLED_EVENTS),
        "api_version": "2024-06-20",
    }
    here = Installation(stage, stage.start("worker"), "", receiver, "")
    endpoint = await here.at_stripe("POST", "/v1/webhook_endpoints", form)
    stage.start("webhook-receiver", PORT=str(port), STRIPE_WEBHOOK_SECRETS=endpoint["secret"])
    stage.start("outbox-publisher")
    headers = await authority(stage)
    async with httpx.AsyncClient(trust_env=False) as client:
        (await client.post(f"{gateway.url}/charge", json=order("doctor"), headers=headers)).raise_for_status()

    async def state() -> list[tuple[Any, ...]]:
        query = "SELECT count(*) FROM notices WHERE state = 'done' AND type = 'payment_intent.succeeded'"
        return await fetch(stage, query)

    await becomes([(1,)], state)
    yield Installation(stage, here.worker, endpoint["id"], receiver, endpoint["secret"])


@asynccontextmanager
async def settings(_: Installation, **changes: str) -> AsyncIterator[tuple[tuple[str, ...], dict[str, str]]]:
    yield (), changes


@asynccontextmanager
async def arguments(_: Installation, *given: str) -> AsyncIterator[tuple[tuple[str, ...], dict[str, str]]]:
    yield given, {}


@asynccontextmanager
async def updated_endpoint(here: Installation, planted: Any, mended: Any) -> AsyncIterator[Any]:
    await here.at_stripe("POST", f"/v1/webhook_endpoints/{here.endpoint}", planted)
    yield (), {}
    await here.at_stripe("POST", f"/v1/webhook_endpoints/{here.endpoint}", mended)


@asynccontextmanager
async def second_endpoint(here: Installation, version: str) -> AsyncIterator[Any]:
    form = {"url": f"{here.receiver}/webhooks/stripe", "enabled_events[]": "*", "api_version": version}
    made = await here.at_stripe("POST", "/v1/webhook_endpoints", form)
    yield (), {}
    await here.at_stripe("DELETE", f"/v1/webhook_endpoints/{made['id']}")


@asynccontextmanager
async def statements(here: Installation, planted: list[str], mended: list[str]) -> AsyncIterator[Any]:
    await here.execute(*planted)
    yield (), {}
    await here.execute(*mended)


@asynccontextmanager
async def refusing_stripe(here: Installation) -> AsyncIterator[Any]:
    async with httpx.AsyncClient(base_url=here.stage.sandbox_url, trust_env=False) as client:
        fault = {"fault": "error", "status": 401, "times": None}
        (await client.post("/_sandbox/faults", json=fault)).raise_for_status()
        yield (), {}
        (await client.delete("/_sandbox/faults")).raise_for_status()


@asynccontextmanager
async def another_stripe(here: Installation, ahead_seconds: int) -> AsyncIterator[Any]:
    """A sandbox of its own whose endpoint is ours, where a payment was made before its clock went on."""
    ours = here.stage.sandbox_url
    url = here.stage.start_sandbox()
    form = {"url": f"{here.receiver}/webhooks/stripe", "enabled_events[]": "*", "api_version": "2024-06-20"}
    await here.at_stripe("POST", "/v1/webhook_endpoints", form)
    await here.at_stripe("POST", "/v1/payment_intents", PAID)  # our receiver does not know this endpoint's secret
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        (await client.post("/_sandbox/clock", json={"advance_seconds": ahead_seconds})).raise_for_status()
    yield (), {"STRIPE_API_BASE": url}
    here.stage._sandbox_url = ours


PAID = {
    "amount": 500, "currency": "eur", "confirm": "true", "payment_method": "pm_card_visa",
    "payment_method_types[]": "card",
}  # fmt: skip


@asynccontextmanager
async def frozen_worker(here: Installation) -> AsyncIterator[Any]:
    """Nobody reads notices, and one has waited for twenty minutes."""
    here.worker.freeze()
    await here.execute(
        "INSERT INTO notices"
        " (account, livemode, event_id, type, received_at, received_on, deliveries, state, next_try_at) VALUES"
        " ('', false, 'evt_waits', 'x.y', now() - interval '20 min', current_date, 1, 'kept', now())"
    )
    yield (), {}
    await here.execute("DELETE FROM notices WHERE event_id = 'evt_waits'")
    here.worker.thaw()


class Pooler(Relay):
    """Hands out session numbers of its own, as poolers between clients and servers do."""

    @override
    def passed(self, sent: bytes) -> bytes:
        head, key, rest = sent.partition(b"K\x00\x00\x00\x0c")
        return head + key + bytes(4) + rest[4:] if key else sent


@asynccontextmanager
async def pooled(here: Installation) -> AsyncIterator[Any]:
    relay = Pooler(here.stage.database_url)
    yield (), {"DATABASE_URL": relay.url}
    await asyncio.to_thread(relay.close)


Planting = Callable[[Installation], AbstractAsyncContextManager[Any]]
PARTITIONS = (
    "DO $$ DECLARE one text; BEGIN FOR one IN SELECT relname FROM pg_class WHERE relname ~ '^notice_bodies_2'"
    " AND relkind = 'r' AND relname > 'notice_bodies_' || to_char(current_date, 'YYYYMMDD')"
    " LOOP EXECUTE format('DROP TABLE %I', one); END LOOP; END $$"
)

FAULTS: dict[str, tuple[Planting, str, str, str]] = {
    "no key": (lambda h: settings(h, STRIPE_KEY=""), "key", "failure", "STRIPE_KEY is not set"),
    "a key that is refused": (refusing_stripe, "key", "failure", "Stripe refuses it: 401"),
    "Stripe out of reach": (
        lambda h: settings(h, STRIPE_API_BASE="http://127.0.0.1:1"), "key", "failure", "Stripe does not answer at",
    ),
    "a clock two minutes off": (lambda h: another_stripe(h, 180), "clock", "warning", "s behind Stripe"),
    "a clock five minutes off": (lambda h: another_stripe(h, 300), "clock", "failure", "s behind Stripe: deliveries"),
    "no endpoint": (
        lambda h: updated_endpoint(h, {"url": "https://other.example/hook"}, {"url": f"{h.receiver}/webhooks/stripe"}),
        "endpoint", "failure", "no webhook endpoint",
    ),
    "a disabled endpoint": (
        lambda h: updated_endpoint(h, {"disabled": "true"}, {"disabled": "false"}),
        "endpoint", "failure", "is disabled",
    ),
    "two endpoints": (lambda h: second_endpoint(h, "2024-06-20"), "endpoint", "warning", "have the same address"),
    "a type not subscribed": (
        lambda h: updated_endpoint(
            h,
            {"enabled_events[]": sorted(HANDLED_EVENTS - {"charge.refunded"})},
            {"enabled_events[]": sorted(HANDLED_EVENTS)},
        ),
        "subscriptions", "failure", "is not subscribed to charge.refunded",
    ),
    "another version": (
        lambda h: second_endpoint(h, OTHER_VERSION), "endpoint version", "warning", f"events in {OTHER_VERSION}",
    ),
    "a wrong signing secret": (
        lambda h: settings(h, STRIPE_WEBHOOK_SECRETS=f"{h.secret},{WRONG_SECRET}"),
        "secrets", "failure", "does not know secret 2",
    ),
    "no signing secret": (
        lambda h: settings(h, STRIPE_WEBHOOK_SECRETS=""), "secrets", "failure", "STRIPE_WEBHOOK_SECRETS is not set",
    ),
    "a receiver that is not there": (
        lambda h: arguments(h, "--receiver", "http://127.0.0.1:1"), "receiver", "failure", "does not answer",
    ),
    "somebody else in its place": (
        lambda h: arguments(h, "--receiver", h.stage.sandbox_url),
        "receiver", "failure", "is no receiver of ours [401]",
    ),
    "events that never came": (lambda h: another_stripe(h, 180), "events", "failure", "never came, the last evt_"),
    "commits that can be lost": (
        lambda h: statements(
            h, [DATABASE.format("SET synchronous_commit = off")], [DATABASE.format("RESET synchronous_commit")]
        ),
        "durability", "failure", "synchronous_commit is off",
    ),
    "an old schema": (
        lambda h: statements(
            h,
            ["UPDATE schema_migrations SET version = -version WHERE version > 1"],
            ["UPDATE schema_migrations SET version = -version WHERE version < 0"],
        ),
        "schema", "failure", "and this program needs",
    ),
    "no schema": (
        lambda h: statements(
            h, ["ALTER TABLE outbox RENAME TO away"], ["ALTER TABLE away RENAME TO outbox"]
        ),
        "schema", "failure", "it is not there, or not all of it",
    ),
    "no partitions": (
        lambda h: statements(h, [PARTITIONS], ["SELECT make_notice_partitions(current_date, 14)"]),
        "partitions", "failure", "partitions for 1 days",
    ),
    "a database that was put back": (
        lambda h: statements(
            h,
            ["INSERT INTO restores SELECT gen_random_uuid(), 'a drill', now(), now()"],
            ["DELETE FROM restores"],
        ),
        "sending", "failure", "as the database was put back: a drill",
    ),
    "a key that is paused": (
        lambda h: statements(
            h, ["INSERT INTO pauses SELECT 'other', now(), 'it was revoked', now()"], ["DELETE FROM pauses"]
        ),
        "sending", "failure", "UTC: it was revoked",
    ),
    "a worker that stands still": (frozen_worker, "notices", "failure", "1 not read, the oldest for 20 min"),
    "a pooler": (pooled, "connections", "failure", "a pooler stands between"),
    "a database out of reach": (
        lambda h: settings(h, DATABASE_URL="postgresql://x:y@127.0.0.1:1/x"),
        "database", "failure", "cannot be reached",
    ),
}  # fmt: skip
"""What is planted, and what the doctor says of it: check, level, and words of the line."""


async def test_a_healthy_installation_is_told_so(installation: Installation) -> None:
    """Nothing is found, the exit code is 0; the ping is kept, and read as nothing."""
    report = await asyncio.to_thread(installation.examine)
    assert (report.ill(), report.code) == ([], 0), report.text
    checks = [one["check"] for one in report.found]
    assert checks == ["key", "version", "clock", "endpoint", "secrets", "database", "clock", "schema", "events", "work"]

    async def pings() -> list[tuple[Any, ...]]:
        return await fetch(installation.stage, "SELECT DISTINCT state FROM notices WHERE type = 'counterfoil.ping'")

    await becomes([("done",)], pings)


@pytest.mark.parametrize("name", FAULTS)
async def test_a_planted_fault_is_found(installation: Installation, name: str) -> None:
    """It is named by its check and in words, with a remedy, exit code 1 for a failure, and no secret is shown."""
    plant, check, level, words = FAULTS[name]
    async with plant(installation) as (given, changes):
        report = await asyncio.to_thread(installation.examine, *given, **changes)
    about = [one for one in report.found if (one["check"], one["level"]) == (check, level) and words in one["line"]]
    assert [bool(one["remedy"]) for one in about] == [True], report.text
    failed = any(level == "failure" for _, level in report.ill())
    assert report.code == (1 if failed else 0)
    assert [one for one in (KEY, installation.secret, WRONG_SECRET) if one in report.text] == []


async def test_settings_that_do_not_fit_are_exit_78(installation: Installation) -> None:
    """A live key in test mode is refused as it is everywhere, before anything is asked."""
    report = await asyncio.to_thread(installation.examine, STRIPE_KEY="sk_live_51NotARealKey")
    assert (report.code, report.found) == (78, [])
    assert report.text == "counterfoil: STRIPE_KEY is a live key, and MODE is test\n"
