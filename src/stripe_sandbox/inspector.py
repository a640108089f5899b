"""The pages for whoever runs the sandbox: what it holds, the life of each object, and a hand on clock and bank."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from itertools import islice
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl

from aiohttp import web

from stripe_sandbox import browser, durations
from stripe_sandbox.account import Account
from stripe_sandbox.clock import Clock
from stripe_sandbox.control import FURTHEST_SECONDS
from stripe_sandbox.currencies import written
from stripe_sandbox.deliveries import Attempt, Deliveries
from stripe_sandbox.pages import page
from stripe_sandbox.records import Object
from stripe_sandbox.requests_log import LoggedRequest, RequestLog

ROWS: Final = 50
"""Of each kind on the first page, newest first; `dump` has the rest."""


class Inspected(Protocol):
    """What the pages show and move."""

    clock: Clock
    log: RequestLog
    deliveries: Deliveries

    def account(self, *, livemode: bool = False) -> Account:
        """The objects of one mode."""

    async def advance(self, seconds: float) -> None:
        """Moves time forward."""


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _link(identifier: str | None) -> str:
    if identifier is None:
        return ""
    return f'<a href="/objects/{escape(identifier)}">{escape(identifier)}</a>'


def _table(title: str, heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table under its heading; cells are HTML already."""
    lines = ["".join(f"<td>{cell}</td>" for cell in row) for row in islice(rows, ROWS)]
    if not lines:
        return f"<h2>{title}</h2><p>None yet."
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    return f"<h2>{title}</h2><table><thead><tr>{head}</tr></thead><tbody><tr>{'<tr>'.join(lines)}</tbody></table>"


def _accounts(sandbox: Inspected) -> tuple[Account, Account]:
    return sandbox.account(livemode=False), sandbox.account(livemode=True)


def _newest(sandbox: Inspected, kind: str) -> Iterator[Object]:
    for account in _accounts(sandbox):
        yield from reversed(list(account.records()[kind]))


def _mode(record: Object) -> str:
    return "live" if record["livemode"] else "test"


def _sum(record: Object) -> str:
    return escape(written(record["amount"], record["currency"]).upper())


def _overview(sandbox: Inspected) -> web.Response:
    offset = sandbox.clock.offset_seconds
    ahead = f", {offset:,.0f} s ahead of this machine" if offset else ""
    body = (
        f'<p>Its time is <b id="time">{_moment(sandbox.clock.now())}</b> UTC{ahead}.'
        '<form method="post" action="/clock"><label>Advance it by <input name="advance" value="1d" size="6" required>'
        "</label><button>Advance</button><small>such as 90, 45s, 10m, 2h, 3d</small></form>"
    )
    body += _table(
        "Payments",
        ("PaymentIntent", "amount", "status", "customer", "created", "mode"),
        (
            (_link(one["id"]), _sum(one), escape(one["status"]), _link(one["customer"]), _moment(one["created"]),
             _mode(one))
            for one in _newest(sandbox, "payment_intents")
        ),
    )  # fmt: skip
    body += _table(
        "Charges",
        ("charge", "amount", "status", "PaymentIntent", "created", "mode"),
        (
            (_link(one["id"]), _sum(one), escape(one["status"]), _link(one["payment_intent"]), _moment(one["created"]),
             _mode(one))
            for one in _newest(sandbox, "charges")
        ),
    )  # fmt: skip
    body += _table(
        "Events",
        ("event", "type", "object", "not delivered yet", "created"),
        (
            (_link(one["id"]), escape(one["type"]), _link(one["data"]["object"].get("id")),
             str(one["pending_webhooks"]), _moment(one["created"]))
            for one in _newest(sandbox, "events")
        ),
    )  # fmt: skip
    body += _table(
        "Webhook endpoints",
        ("endpoint", "address", "status", "events", "mode"),
        (
            (_link(one["id"]), escape(one["url"]), escape(one["status"]), escape(", ".join(one["enabled_events"])),
             _mode(one))
            for one in _newest(sandbox, "webhook_endpoints")
        ),
    )  # fmt: skip
    body += _table(
        "Deliveries",
        ("event", "type", "endpoint", "try", "answer", "at"),
        (_attempt(one) for one in reversed(list(sandbox.deliveries.attempts.values()))),
    )
    body += _table(
        "Requests",
        ("request", "", "status", "idempotency key", "at"),
        (_request(one) for one in reversed(list(sandbox.log))),
    )
    return page("Stripe sandbox", body, wide=True, answers_here=True)


def _attempt(one: Attempt) -> tuple[str, ...]:
    answer = str(one.status) if one.status is not None else escape(one.error or "")
    return _link(one.event_id), escape(one.event_type), _link(one.endpoint_id), str(one.number), answer, _moment(one.at)


def _request(one: LoggedRequest) -> tuple[str, ...]:
    status = "no answer" if one.status is None else str(one.status)
    notes = "".join(f", {note}" for note in ("replayed" if one.replayed else None, one.error_code, one.fault) if note)
    address = f'<a href="/_sandbox/requests/{escape(one.id)}">{escape(one.id)}</a>'
    said = f"{escape(one.method)} {escape(one.path)}"
    return address, said, escape(status + notes), escape(one.idempotency_key or ""), _moment(one.received_at)


@dataclass(frozen=True, slots=True)
class Happening:
    """One line in an object's life: a moment in seconds, what sort of thing it was, and its cells in HTML."""

    at: float
    sort: str
    what: str
    outcome: str


def life(sandbox: Inspected, account: Account, identifier: str) -> list[Happening]:
    """The requests, events and deliveries that had to do with an object, in the order in which they happened."""
    events = {
        event["id"]: event
        for event in account.events
        if event["id"] == identifier or _names(event["data"]["object"], identifier)
    }
    causes = {event["request"]["id"] for event in events.values()}
    happenings = [
        Happening(one.received_at, "request", f"{_request(one)[0]} {_request(one)[1]}", _request(one)[2])
        for one in sandbox.log
        if one.id in causes or identifier in one.path.split("/")
    ]
    happenings += [
        Happening(
            event["created"],
            "event",
            f"{_link(event['id'])} {escape(event['type'])}",
            escape(str(event["data"]["object"].get("status", ""))),
        )
        for event in events.values()
    ]
    happenings += [
        Happening(one.at, "delivery", f"{_link(one.event_id)} to {_link(one.endpoint_id)}", f"{_attempt(one)[4]}")
        for one in sandbox.deliveries.attempts.values()
        if one.event_id in events or one.endpoint_id == identifier
    ]
    # Events know whole seconds only: within one, a request comes before what it caused.
    return sorted(happenings, key=lambda one: (int(one.at), ("request", "event", "delivery").index(one.sort)))


def _names(record: Mapping[str, Any], identifier: str) -> bool:
    return record.get("id") == identifier or identifier in (value for value in record.values() if type(value) is str)


def _object(sandbox: Inspected, identifier: str) -> web.Response:
    for account in _accounts(sandbox):
        for records in account.records().values():
            if identifier in records:
                return _shown(sandbox, account, records[identifier])
    return page("No such object", '<p>Nothing has this id. <a href="/">What there is</a>.', 404, wide=True)


def _shown(sandbox: Inspected, account: Account, record: Object) -> web.Response:
    identifier = record["id"]
    body = '<p><a href="/">All that the sandbox holds</a>'
    if identifier in account.challenges:
        body += (
            f'<form method="post" action="/objects/{escape(identifier)}/challenge">'
            f"<p>The cardholder is asked to approve <b>{_sum(record)}</b>. "
            '<button class="yes" name="outcome" value="approve">Approve</button>'
            '<button name="outcome" value="refuse">Refuse</button></form>'
        )
    body += _table(
        "Its life",
        ("at", "", "what", "outcome"),
        ((_moment(one.at), one.sort, one.what, one.outcome) for one in life(sandbox, account, identifier)),
    )
    body += f"<h2>As the API shows it</h2><pre>{escape(json.dumps(record, indent=2, ensure_ascii=False))}</pre>"
    title = f"{str(record['object']).replace('_', ' ').capitalize()} {identifier}"
    return page(f"{title}: {record['status']}" if "status" in record else title, body, wide=True, answers_here=True)


async def answer(request: web.BaseRequest, sandbox: Inspected) -> web.Response | None:
    """Answers a request for one of these pages; nothing if it is for none."""
    parts = request.path.strip("/").split("/")
    match request.method, parts:
        case "GET", [""]:
            return _overview(sandbox)
        case "GET", ["objects", identifier]:
            return _object(sandbox, identifier)
        case ("POST", ["clock"]) | ("POST", ["objects", _, "challenge"]):
            if request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}:
                return page("Refused", "<p>Another site sent you here. Nothing was done.", 403, wide=True)
            form = dict(parse_qsl((await request.read()).decode(errors="replace")))
            if parts == ["clock"]:
                return await _advanced(form, sandbox)
            return _challenged(parts[1], form, sandbox)
        case _:
            return None


async def _advanced(form: Mapping[str, str], sandbox: Inspected) -> web.Response:
    try:
        seconds = durations.seconds(form.get("advance", ""))
    except ValueError as error:
        return page("Advance by how much?", f'<p>{escape(str(error))}. <a href="/">Back</a>.', 400, wide=True)
    if seconds > FURTHEST_SECONDS:
        return page("That is too far", '<p>A year at a time is enough. <a href="/">Back</a>.', 400, wide=True)
    await sandbox.advance(seconds)
    return web.Response(status=303, headers={"Location": "/"})


def _challenged(identifier: str, form: Mapping[str, str], sandbox: Inspected) -> web.Response:
    for account in _accounts(sandbox):
        challenge = account.challenges.get(identifier)
        if challenge is not None:
            if form.get("outcome") not in {"approve", "refuse"}:
                return page("Approve or refuse?", "<p>The form must say outcome=approve or outcome=refuse.", 400)
            browser.decide(account, challenge, approved=form["outcome"] == "approve")
            return web.Response(status=303, headers={"Location": f"/objects/{challenge.intent_id}"})
    return page("Nothing to authenticate", "<p>This question was answered or withdrawn.", 404)
