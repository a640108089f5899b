"""What the doctor makes of what it was told: a line for each check, and what to do about it. Asks nobody itself."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from counterfoil.config import SigningSecret
from counterfoil.processors.stripe.account import Endpoint, Greeting, SeenEvent
from counterfoil.store.health import ServerHealth, Waiting, Work
from counterfoil.store.notices import Parked
from counterfoil.store.partitions import FEWEST_AHEAD
from counterfoil.store.pauses import Pause
from counterfoil.store.pool import OLDEST_VERSION
from counterfoil.store.restores import Restore

CLOCK_WARNS: Final = timedelta(seconds=120)
"""Machines that ask a time server differ by milliseconds."""

CLOCK_FAILS: Final = timedelta(seconds=240)
"""Signatures are refused from 300 s on, and deliveries take a moment to arrive."""

DELIVERED_WITHIN: Final = timedelta(minutes=2)
"""Stripe delivers in seconds; an event that is younger may still be on its way."""

LATE: Final = timedelta(minutes=1)
"""Whatever waits is done within seconds as a rule."""

TOO_LATE: Final = timedelta(minutes=10)
"""Nobody does it, or not fast enough."""

OWNERLESS: Final = timedelta(hours=1)
"""A payment is on record before Stripe hears of it; what names one that is not comes from another database."""

FEW_PARTITIONS: Final = 7
"""Fourteen are made ahead, daily: with so few left nobody has made any for a week."""

FULL: Final = 0.8
"""Of the connections that a server takes; the next role that starts may find none."""

_OK, _UNAUTHORIZED, _UNAVAILABLE = 200, 401, 503


class Level(StrEnum):
    """How a check ended. A failure loses money or news of it, now or soon; a warning costs something else."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found, in a line, and the remedy where there is something to mend."""

    check: str
    level: Level
    line: str
    remedy: str | None = None


def ok(check: str, line: str) -> Finding:
    """Return that all is well with it."""
    return Finding(check, Level.OK, line)


def warning(check: str, line: str, remedy: str) -> Finding:
    """Return that somebody should see to it."""
    return Finding(check, Level.WARNING, line, remedy)


def failure(check: str, line: str, remedy: str) -> Finding:
    """Return that it does not work."""
    return Finding(check, Level.FAILURE, line, remedy)


@dataclass(frozen=True, slots=True)
class Ping:
    """How a receiver took an event of ours, signed with the secret of this place in the settings, from 1 on.

    ``status`` is None where nothing answered; ``said`` is the problem's sentence, or the name of the error.
    """

    url: str
    place: int
    status: int | None
    said: str


def of_greeting(greeting: Greeting, mode: str, version: str) -> list[Finding]:
    """Judge whether Stripe takes our key, and in which version it answers."""
    found = []
    if greeting.refusal is None:
        found.append(ok("key", f"Stripe takes it, and it is a {mode} key as MODE says"))
    else:
        remedy = "set STRIPE_KEY to a key of this account that is good for payments, and restart gateway and worker"
        found.append(failure("key", f"Stripe refuses it: {greeting.refusal}", remedy))
    if greeting.version in (None, version):
        found.append(ok("version", f"calls are pinned to {version}"))
    else:
        line = f"calls ask for {version}, and are answered in {greeting.version}"
        found.append(failure("version", line, "let nothing between us and Stripe change the header Stripe-Version"))
    return found


def of_clock(whose: str, theirs: datetime | None, ours: datetime) -> list[Finding]:
    """Judge how far our clock is from another."""
    if theirs is None:
        return [warning("clock", f"{whose} does not say what time it has", "see whether a proxy takes its Date away")]
    ahead = ours - theirs
    distance = f"our clock is {abs(ahead).total_seconds():.0f} s {'ahead of' if ahead > timedelta() else 'behind'} "
    remedy = "let every machine of the installation keep its time by NTP"
    if abs(ahead) > CLOCK_FAILS:
        return [failure("clock", f"{distance}{whose}: deliveries are refused as stale or soon will be", remedy)]
    if abs(ahead) > CLOCK_WARNS:
        return [warning("clock", f"{distance}{whose}", remedy)]
    return [ok("clock", f"within {CLOCK_WARNS.total_seconds():.0f} s of {whose}")]


def of_mode(endpoints: Sequence[Endpoint], *, live: bool) -> list[Finding]:
    """Judge whether what our key opens is of the mode that we run in, by Stripe's own word."""
    if all(one.livemode is live for one in endpoints):
        return []
    line = f"Stripe answers it for {'test' if live else 'live'} mode, and MODE is {'live' if live else 'test'}"
    return [failure("key", line, "set STRIPE_KEY to a key of the mode that MODE names")]


def of_endpoints(
    endpoints: Sequence[Endpoint], types: Collection[str], version: str, default_version: str | None, *, live: bool
) -> list[Finding]:
    """Judge our endpoints at Stripe: ``types`` is what they must bring, ``default_version`` the account's own."""
    if not endpoints:
        line = "no webhook endpoint of this account leads to our receiver: nothing is heard but by asking"
        return [
            failure("endpoint", line, "make one with `counterfoil upgrade-webhook --url https://…/webhooks/stripe`")
        ]
    working = [one for one in endpoints if one.enabled]
    found = of_mode(endpoints, live=live)
    found += [
        failure(
            "endpoint",
            f"{one.id} ({one.url}) is disabled: Stripe delivers nothing there",
            "mend the receiver, enable it at Stripe, and let Stripe send again what it has missed",
        )
        for one in endpoints
        if not one.enabled
    ]
    for url, ids in sorted(_by_url(working).items()):
        if len(ids) > 1:
            upgrading = any(one.replaces is not None for one in working if one.id in ids)
            remedy = (
                "an upgrade is under way: end it with `counterfoil upgrade-webhook --finish` or `--roll-back`"
                if upgrading
                else "delete all but one at Stripe: every event is delivered, and refused or counted, several times"
            )
            found.append(warning("endpoint", f"{' and '.join(ids)} have the same address, {url}", remedy))
    found += [finding for one in working for finding in _of_endpoint(one, types, version, default_version)]
    return found or [ok("endpoint", f"{working[0].id} brings all {len(types)} types in {version} to {working[0].url}")]


def _by_url(endpoints: Sequence[Endpoint]) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in endpoints:
        found.setdefault(one.url.rstrip("/"), []).append(one.id)
    return found


def _of_endpoint(one: Endpoint, types: Collection[str], version: str, default_version: str | None) -> Sequence[Finding]:
    found = []
    missing = sorted(set(types) - one.types) if "*" not in one.types else []
    if missing:
        line = f"{one.id} is not subscribed to {', '.join(missing)}"
        found.append(failure("subscriptions", line, f"add {'it' if len(missing) == 1 else 'them'} at Stripe"))
    speaks = one.api_version or default_version
    if speaks is not None and speaks != version:
        line = f"{one.id} writes events in {speaks}, and we read {version}: each is only a hint, and costs a question"
        found.append(warning("endpoint version", line, "`counterfoil upgrade-webhook` makes one in our version"))
    return found


def of_pings(pings: Sequence[Ping]) -> list[Finding]:
    """Judge how a receiver took the signed pings, one for each secret."""
    return [_of_ping(one) for one in pings]


def _of_ping(ping: Ping) -> Finding:
    which = f"secret {ping.place}"
    if ping.status == _OK:
        return ok("secrets", f"{ping.url} takes what {which} signs")
    if ping.status is None:
        remedy = "start a webhook-receiver, or say with --receiver where it is"
        return failure("receiver", f"{ping.url} does not answer ({ping.said})", remedy)
    signature_refused = ping.status == _UNAUTHORIZED and "signature" in ping.said
    if signature_refused and "too_" in ping.said:
        return failure("receiver", f"{ping.url} has another time than we have", "let its machine keep its time by NTP")
    if signature_refused:
        line = f"{ping.url} does not know {which}"
        return failure("secrets", line, "give the receiver the same STRIPE_WEBHOOK_SECRETS, and restart it")
    if ping.status == _UNAVAILABLE:
        return failure("receiver", f"{ping.url} cannot keep anything: {ping.said}", "see to its database")
    line = f"what answers at {ping.url} is no receiver of ours [{ping.status}]"
    return failure("receiver", line, "lead this address to a webhook-receiver, its path unchanged")


def of_ends(secrets: Sequence[SigningSecret], now: datetime) -> list[Finding]:
    """Judge whether signing secrets are over that are still set; that all are is what a receiver cannot live with."""
    over = [place for place, one in enumerate(secrets, start=1) if not one.is_good(now)]
    if not over:
        return []
    line = f"of {len(secrets)} the end has passed of number {' and '.join(map(str, over))}"
    if len(over) == len(secrets):
        return [failure("secrets", f"{line}: no delivery is taken any more", "set the secret that Stripe signs with")]
    return [warning("secrets", line, "take what is over out of STRIPE_WEBHOOK_SECRETS")]


def of_open_files(names: Sequence[str]) -> list[Finding]:
    """Judge whether everybody on the machine may read a secret."""
    remedy = "let only the account that runs the roles read it (chmod 400)"
    return [warning("settings", f"{name} names a file that everybody here may read", remedy) for name in names]


def of_events(
    events: Sequence[SeenEvent], had: Mapping[str, datetime], now: datetime, since: datetime | None
) -> list[Finding]:
    """Judge whether Stripe's latest events have reached us; ``had`` says when those that did, ``now`` by its clock.

    What happened before ``since``, when there was no endpoint of ours yet, could not.
    """
    ripe = [
        event
        for event in events
        if now - event.created_at > DELIVERED_WITHIN and (since is None or event.created_at >= since)
    ]
    missing = [event for event in ripe if event.id not in had]
    if missing:
        line = f"{len(missing)} of Stripe's {len(ripe)} latest events never came, the last {missing[0].id}"
        remedy = "see at Stripe what our endpoint answered; `counterfoil catch-up` finds what never came"
        judge = failure if missing[0] is ripe[0] else warning
        return [judge("events", f"{line} of {missing[0].created_at:%Y-%m-%d %H:%M} UTC", remedy)]
    if not had:
        return [ok("events", "none came yet, and Stripe has none older than two minutes")]
    return [ok("events", f"the last came at {max(had.values()):%Y-%m-%d %H:%M:%S} UTC, and none is missing")]


def of_server(server: ServerHealth) -> list[Finding]:
    """Judge whether the database server can keep what we promise."""
    found = []
    major = server.version // 10000
    if server.version < OLDEST_VERSION:
        found.append(failure("database", f"PostgreSQL {major} is too old", "move to PostgreSQL 15 or later"))
    if server.standby:
        found.append(failure("database", "it is a standby and takes no payment", "let DATABASE_URL name the primary"))
    if server.synchronous_commit == "off":
        line = "synchronous_commit is off: a payment that was acknowledged can be lost"
        remedy = "turn it on for this role and database (ALTER ROLE … RESET, ALTER DATABASE … RESET) and the server"
        found.append(failure("durability", line, remedy))
    for name, on in (("fsync", server.fsync), ("full_page_writes", server.full_page_writes)):
        if not on:
            line = f"{name} is off: a crash of the machine can damage the database"
            found.append(failure("durability", line, f"set {name} = on in postgresql.conf"))
    if server.encoding != "UTF8":
        line = f"its encoding is {server.encoding}: names in other letters cannot be kept"
        found.append(failure("database", line, "move to a database that was made with ENCODING 'UTF8'"))
    if not server.direct:
        line = "a pooler stands between us and the server: the lead of the publisher and NOTIFY need the session itself"
        found.append(failure("connections", line, "let DATABASE_URL name the server, or a pool in session mode"))
    if server.connected > server.connections * FULL:
        line = f"{server.connected} of {server.connections} connections are taken"
        remedy = "raise max_connections, or run fewer processes; docs/operations.md says what each takes"
        found.append(warning("connections", line, remedy))
    line = f"PostgreSQL {major}, commits are durable, {server.connected} of {server.connections} connections taken"
    return found or [ok("database", line)]


def of_schema(version: int, latest: int, partitions_ahead: int) -> list[Finding]:
    """Judge whether the database has our tables, and a place for the notices of the next days."""
    found = []
    if version < latest:
        line = f"it is at version {version}, and this program needs {latest}"
        found.append(failure("schema", line, "run `counterfoil migrate`"))
    elif version > latest:
        line = f"it is at version {version}, newer than this program's {latest}"
        found.append(warning("schema", line, "finish the roll-out of the newer program, or use its doctor"))
    if partitions_ahead < FEW_PARTITIONS:
        line = f"there are partitions for {partitions_ahead} days of notices, and 14 are made ahead every day"
        judge = failure if partitions_ahead < FEWEST_AHEAD else warning
        found.append(judge("partitions", line, "see why no role makes them; `counterfoil migrate` does it now"))
    return found or [ok("schema", f"version {version}, with partitions for {partitions_ahead} days")]


def of_work(work: Work, now: datetime) -> list[Finding]:
    """Judge whether what waits is done in time."""
    asked = ("notices", work.notices, "not read", "worker"), ("outbox", work.facts, "not published", "outbox-publisher")
    due = ("payments", work.payments, "overdue for a look", "worker"), ("refunds", work.refunds, "overdue", "worker")
    late = [
        finding
        for check, waiting, what, role in (*asked, *due)
        if (finding := _of_waiting(check, waiting, what, role, now)) is not None
    ]
    if work.in_doubt:
        line = f"the outcome of {work.in_doubt} is in doubt"
        late.append(warning("payments", line, "`counterfoil list --status in_doubt`, and `counterfoil explain` each"))
    if work.parked:
        late.append(warning("effects", f"{work.parked} are parked for a person", "`counterfoil parked list`"))
    line = f"nothing waits for longer than {LATE.total_seconds():.0f} s; {work.open} payments are open"
    return late or [ok("work", line)]


def of_halt(restore: Restore | None, pause: Pause | None) -> list[Finding]:
    """Judge whether something keeps all of us from sending: a database that was put back, a key that is refused."""
    found = []
    if restore is not None:
        line = f"nothing is sent since {restore.began_at:%Y-%m-%d %H:%M} UTC, as the database was put back"
        remedy = "`counterfoil reconcile`, see to what is left, then `counterfoil restore finish`"
        found.append(failure("sending", f"{line}: {restore.reason}", remedy))
    if pause is not None:
        line = f"nothing is sent with a key since {pause.since:%Y-%m-%d %H:%M} UTC: {pause.reason}"
        found.append(failure("sending", line, "let Stripe take it again, or restart gateways and workers with another"))
    return found


def of_parked(parked: Parked, now: datetime) -> list[Finding]:
    """Judge what is parked of the notices: for a person, or for payments that should have been here by now."""
    found, remedy = [], "`counterfoil notices list --state parked`"
    if parked.for_person:
        found.append(warning("notices", f"{parked.for_person} are parked for a person", remedy))
    if parked.oldest_for_payment is not None and now - parked.oldest_for_payment > OWNERLESS:
        line = f"{parked.for_payment} name payments that are not in this database: is it the one they were made in?"
        found.append(warning("notices", line, remedy))
    return found


def _of_waiting(check: str, waiting: Waiting, what: str, role: str, now: datetime) -> Finding | None:
    age = timedelta() if waiting.since is None else now - waiting.since
    if age <= LATE:
        return None
    minutes = age.total_seconds() / 60
    line = f"{waiting.count} {what}, the oldest for {minutes:.0f} min"
    judge = failure if age > TOO_LATE else warning
    return judge(check, line, f"see whether a {role} runs and what it logs; more of them may run")
