"""What the doctor asks: Stripe with our key, our receiver with our signing secrets, our database."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import asyncpg
import httpx

from counterfoil.cli import findings
from counterfoil.cli.connection import may_use_proxy
from counterfoil.cli.database import connected
from counterfoil.cli.exits import Unreachable
from counterfoil.cli.findings import Finding, Ping
from counterfoil.config import STRIPE_API_VERSION, Mode, Settings, StripeDriver, open_files_from_process
from counterfoil.processors.stripe import notices, signatures
from counterfoil.processors.stripe.account import Account, Endpoint, NoAnswer, NotAllowed, SeenEvent
from counterfoil.roles.pausing import LEFT_AFTER
from counterfoil.roles.processor import open_processor
from counterfoil.roles.webhook_receiver.endpoint import PATHS
from counterfoil.runtime.clock import Clock
from counterfoil.runtime.secret import Secret
from counterfoil.store import embedded, health, migrate, partitions, pauses, restores
from counterfoil.store import notices as kept_notices
from counterfoil.store.pool import NOT_MIGRATED

if TYPE_CHECKING:
    from counterfoil.store.pool import Connection

PING_SECONDS: Final = 10.0
"""Stripe itself waits for no receiver much longer."""

PING_TYPE: Final = "counterfoil.ping"
"""A type that Stripe has not: the worker reads such an event as one that changes no payment."""


@dataclass(frozen=True, slots=True)
class _Listed:
    """Stripe's latest events, the time by its clock when it listed them, and since when it has an endpoint of ours."""

    events: list[SeenEvent]
    now: datetime
    since: datetime | None


async def examine(settings: Settings, receiver: str | None, clock: Clock) -> list[Finding]:
    """Return what all checks find. Whoever does not answer is a finding, and ends no other check."""
    found, events = await _of_stripe(settings, receiver, clock)
    database = settings.database_url or await _embedded(settings)
    found = findings.of_open_files(open_files_from_process(None)) + found
    found += await _of_database(settings, database, events, clock)
    if settings.kafka_brokers is None:
        return found
    from counterfoil.cli import examining_kafka

    return found + await examining_kafka.examine(settings, database, clock)


async def _embedded(settings: Settings) -> Secret | None:
    running = await embedded.running(settings.counterfoil_home.absolute())
    return None if running is None else Secret(running)


async def _of_stripe(settings: Settings, receiver: str | None, clock: Clock) -> tuple[list[Finding], _Listed | None]:
    """Return what was found at Stripe and at the receiver, and the latest events there."""
    if settings.stripe_key is None:
        remedy = "run the doctor with the settings of the worker"
        nothing = findings.failure("key", "STRIPE_KEY is not set here", remedy)
        return [nothing, *await _of_secrets(settings, receiver, [], clock)], None
    async with open_processor(settings) as processor:
        account = Account(processor.sdk)
        try:
            before = clock.now()
            greeting = await account.greet(by_charges=settings.stripe_driver is StripeDriver.CHARGES)
            ours = before + (clock.now() - before) / 2
        except NoAnswer as error:
            line = f"Stripe does not answer at {settings.stripe_api_base} ({error})"
            silent = findings.failure("key", line, "see to the way out to Stripe, and to STRIPE_API_BASE")
            return [silent, *await _of_secrets(settings, receiver, [], clock)], None
        found = findings.of_greeting(greeting, settings.mode.value, STRIPE_API_VERSION)
        found += findings.of_clock("Stripe", greeting.clock, ours)
        if greeting.refusal is not None:
            return [*found, *await _of_secrets(settings, receiver, [], clock)], None
        events, unread = await _latest(account)
        endpoints, unlisted = await _endpoints(account, receiver or settings.public_url)
    if endpoints is not None:
        default_version = next((event.api_version for event in events or ()), None)
        live, types = settings.mode is Mode.LIVE, notices.HANDLED_EVENTS
        found += findings.of_endpoints(endpoints, types, STRIPE_API_VERSION, default_version, live=live)
    found += [*unlisted, *await _of_secrets(settings, receiver, endpoints or [], clock), *unread]
    if events is None:
        return found, None
    since = min((one.created_at for one in endpoints or ()), default=None)
    return found, _Listed(events, greeting.clock or ours, since)


async def _latest(account: Account) -> tuple[list[SeenEvent] | None, list[Finding]]:
    try:
        return await account.latest_events(notices.HANDLED_EVENTS), []
    except (NoAnswer, NotAllowed) as error:
        remedy = "let the key read events, for this check only"
        return None, [findings.warning("events", f"Stripe does not list them: {error}", remedy)]


async def _endpoints(account: Account, where: str | None) -> tuple[list[Endpoint] | None, list[Finding]]:
    try:
        return ours_of(await account.endpoints(), where), []
    except (NoAnswer, NotAllowed) as error:
        remedy = "let the key read webhook endpoints, for this check only"
        return None, [findings.warning("endpoint", f"Stripe does not list them: {error}", remedy)]


def ours_of(endpoints: Sequence[Endpoint], where: str | None) -> list[Endpoint]:
    """Return the endpoints that lead to a receiver of ours, at ``where`` if that is known."""
    routed = [one for one in endpoints if urlsplit(one.url).path.rstrip("/") in PATHS]
    return [one for one in routed if where is None or _origin(one.url) == _origin(where)]


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port


async def _of_secrets(
    settings: Settings, receiver: str | None, endpoints: Sequence[Endpoint], clock: Clock
) -> list[Finding]:
    """Ping the receiver with every secret: where we were told it is, else where Stripe delivers."""
    if not settings.stripe_webhook_secrets:
        remedy = "run the doctor with the settings of the receiver"
        return [findings.failure("secrets", "STRIPE_WEBHOOK_SECRETS is not set here", remedy)]
    known = {one.url for one in endpoints}
    urls = {route_at(where)} if (where := receiver or settings.public_url) else known
    if len(urls) != 1:
        line = f"of {len(urls)} receivers it is not known which is ours" if urls else "nothing says where it is"
        return [findings.warning("receiver", line, "set PUBLIC_URL, or name it with --receiver")]
    (url,) = urls
    async with httpx.AsyncClient(timeout=PING_SECONDS, trust_env=may_use_proxy(url)) as client:
        pings = [
            await _ping(client, url, place, one.secret.reveal().encode(), settings.mode, clock)
            for place, one in enumerate(settings.stripe_webhook_secrets, start=1)
            if one.is_good(clock.now())
        ]
    return findings.of_pings(pings) + findings.of_ends(settings.stripe_webhook_secrets, clock.now())


def route_at(where: str) -> str:
    """Return the route of a receiver at an address, which may name it already."""
    address = where.rstrip("/")
    return address if urlsplit(address).path in PATHS else f"{address}/webhooks/stripe"


async def _ping(  # noqa: PLR0913, PLR0917 - what a ping is made of
    client: httpx.AsyncClient, url: str, place: int, secret: bytes, mode: Mode, clock: Clock
) -> Ping:
    """Deliver an event that changes nothing, the same one all day: a monitor that pings each minute fills no table."""
    now = clock.now()
    event = {
        "id": f"evt_counterfoil_ping_{now:%Y%m%d}_{place}",
        "object": "event",
        "api_version": STRIPE_API_VERSION,
        "created": int(now.timestamp()),
        "data": {"object": {}},
        "livemode": mode is Mode.LIVE,
        "type": PING_TYPE,
    }
    body = json.dumps(event).encode()
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "Stripe-Signature": signatures.signed(body, secret, int(now.timestamp())),
    }
    try:
        answer = await client.post(url, content=body, headers=headers)
    except (httpx.TransportError, httpx.InvalidURL) as error:
        return Ping(url, place, None, type(error).__name__)
    said = _said(answer)
    if answer.status_code == httpx.codes.OK and said.get("received") != event["id"]:
        return Ping(url, place, 0, "")
    return Ping(url, place, answer.status_code, str(said.get("detail", "")))


def _said(answer: httpx.Response) -> dict[str, Any]:
    try:
        said = answer.json()
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


async def _of_database(settings: Settings, url: Secret | None, events: _Listed | None, clock: Clock) -> list[Finding]:
    if url is None:
        line = f"DATABASE_URL is not set here, and no embedded one runs in {settings.counterfoil_home.absolute()}"
        remedy = "set DATABASE_URL as the roles have it, or run `counterfoil up`"
        return [findings.failure("database", line, remedy)]
    try:
        async with connected(url) as connection:
            return await _of_connection(connection, settings, events, clock)
    except Unreachable as error:
        return [findings.failure("database", str(error), "start it, or let DATABASE_URL name one that runs")]
    except asyncpg.InsufficientPrivilegeError as error:
        return [findings.failure("database", f"it does not let us look: {error}", "grant the role our tables")]


async def _of_connection(
    connection: "Connection", settings: Settings, listed: _Listed | None, clock: Clock
) -> list[Finding]:
    now = clock.now()
    server = await health.server(connection)
    found = [*findings.of_server(server), *findings.of_clock("the database", server.clock, now)]
    try:
        state = await partitions.readiness(connection, now.date())
        found += findings.of_schema(state.schema_version, migrate.latest(), state.partitions_ahead)
        if listed is not None:
            names, live = [event.id for event in listed.events], settings.mode is Mode.LIVE
            had = await health.received(connection, names, livemode=live)
            found += findings.of_events(listed.events, had, listed.now, listed.since)
        pause = await pauses.oldest(connection, now - LEFT_AFTER)
        found += findings.of_halt(await restores.current(connection), pause)
        found += findings.of_parked(await kept_notices.parked(connection), now)
        found += findings.of_work(await health.work(connection, now), now)
    except NOT_MIGRATED:
        found.append(findings.failure("schema", "it is not there, or not all of it", "run `counterfoil migrate`"))
    return found
