"""What Stripe told us is shown to who may read, its body to administrators, and is read once more on their word."""

import json
from datetime import timedelta
from typing import Any

import asyncpg
import httpx
import pytest
from tests.deliveries import event
from tests.roles.gateway.conftest import Counter
from tests.stage import order

from counterfoil.processors.stripe import notices as stripe_notices
from counterfoil.runtime.clock import SystemClock
from counterfoil.runtime.ids import TimeOrderedIds
from counterfoil.store import notices
from counterfoil.store.notices import Delivery, NoticeId, Settled, Unreadable
from counterfoil.store.tokens import Scope

PROBLEM = "urn:counterfoil:problem:"
CLOCK = SystemClock()


async def keep(gateway: Counter, *said: dict[str, Any], ago: timedelta = timedelta(0), **settled: Any) -> None:
    """Keep events as the receiver does, so long ago; read, with what became of them, where that is given."""
    connection = await asyncpg.connect(gateway.stage.database_url)
    try:
        for one in said:
            body = json.dumps(one).encode()
            found = stripe_notices.identify(body)
            notice = NoticeId(found.account, found.livemode, found.event_id)
            at = CLOCK.now() - ago
            await notices.keep(connection, [Delivery(notice, found.type, found.object_id, body)], at)
            if settled:
                await notices.settle(connection, [Settled(notice, **settled)], at)
    finally:
        await connection.close()


async def quarantined(gateway: Counter, reason: str) -> None:
    connection = await asyncpg.connect(gateway.stage.database_url)
    try:
        await notices.quarantine(connection, [Unreadable(reason, b"[]")], TimeOrderedIds(CLOCK), CLOCK.now())
    finally:
        await connection.close()


async def replay(
    gateway: Counter, http: httpx.AsyncClient, name: str, body: Any = None, token: str | None = None
) -> httpx.Response:
    sent = {"json": body} if body is not None else {}
    return await http.post(f"{gateway.running.url}/notices/{name}/replay", headers=gateway.authority(token), **sent)


def ids(page: httpx.Response) -> list[str]:
    return [one["id"] for one in page.json()["notices"]]


async def waiting(gateway: Counter, http: httpx.AsyncClient, name: str) -> dict[str, Any]:
    """A payment that waits for its customer, and what Stripe says when they have passed."""
    asked = order(name, payment_method="pm_card_threeDSecure2Required")
    payment: dict[str, Any] = (await gateway.charge(http, asked)).json()
    thing = {
        "id": payment["payment_intent_id"],
        "object": "payment_intent",
        "status": "succeeded",
        "amount_received": 1999,
        "currency": "eur",
        "client_secret": f"{payment['payment_intent_id']}_secret_ofTheCustomer",
        "latest_charge": f"ch_{name}",
        "metadata": {"payment_id": payment["payment_id"]},
    }
    await keep(gateway, event(name, data={"object": thing}))
    return payment


async def test_notices_are_listed_the_latest_first(gateway: Counter, http: httpx.AsyncClient) -> None:
    """Page by page, by state, type, payment and time; with what became of each and why."""
    names = [f"listed_{number}" for number in range(5)]
    for number, name in enumerate(names):
        await keep(gateway, event(name, "listed.only"), ago=timedelta(minutes=number), state=notices.NoticeState.DONE)
    first = await gateway.ask(http, "/notices?type=listed.only&limit=2", token=gateway.limited[Scope.READ])
    asked = {"type": "listed.only", "limit": "3", "cursor": first.json()["next_cursor"]}
    second = await http.get(f"{gateway.running.url}/notices", params=asked, headers=gateway.authority())
    assert ids(first) + ids(second) == [f"evt_{name}" for name in names]
    assert second.json()["next_cursor"] is None

    since = (CLOCK.now() - timedelta(minutes=2, seconds=30)).isoformat().replace("+00:00", "Z")
    assert len(ids(await gateway.ask(http, f"/notices?type=listed.only&state=done&since={since}"))) == 3
    assert ids(await gateway.ask(http, "/notices?type=listed.only&state=foreign")) == []
    one = first.json()["notices"][0]
    assert {name: one[name] for name in ("account", "livemode", "type", "state", "deliveries", "body_kept")} == {
        "account": None,
        "livemode": False,
        "type": "listed.only",
        "state": "done",
        "deliveries": 1,
        "body_kept": True,
    }


async def test_what_is_parked_or_of_a_payment_is_found(gateway: Counter, http: httpx.AsyncClient) -> None:
    """Each by its own index, with the reason."""
    payment = (await gateway.charge(http, order("found"))).json()["payment_id"]
    parked = {"state": notices.NoticeState.PARKED, "reason": "a test", "payment_id": payment}
    await keep(gateway, event("found_1", "found.only"), **parked)
    await keep(gateway, event("found_2", "found.only"), state=notices.NoticeState.DONE, payment_id=payment)
    assert ids(await gateway.ask(http, f"/notices?payment_id={payment}")) == ["evt_found_2", "evt_found_1"]
    assert ids(await gateway.ask(http, f"/notices?payment_id={payment}&state=parked")) == ["evt_found_1"]
    (one,) = (await gateway.ask(http, "/notices?state=parked&type=found.only")).json()["notices"]
    assert (one["id"], one["reason"], one["payment_id"], one["awaits_payment"]) == (
        "evt_found_1",
        "a test",
        payment,
        False,
    )


async def test_the_quarantine_is_a_list_of_its_own(gateway: Counter, http: httpx.AsyncClient) -> None:
    """Each with its reason, page by page; shown under its id, never with its bytes, and never replayed."""
    for reason in ("not JSON", "it has no id"):
        await quarantined(gateway, reason)
    first = await gateway.ask(http, "/notices?state=quarantined&limit=1")
    second = await gateway.ask(http, f"/notices?state=quarantined&limit=1&cursor={first.json()['next_cursor']}")
    assert [one["reason"] for page in (first, second) for one in page.json()["notices"]] == ["it has no id", "not JSON"]
    (name,) = ids(first)
    assert (await gateway.ask(http, f"/notices/{name}")).json() == first.json()["notices"][0]
    for body in (None, {"dry_run": True}):
        answer = await replay(gateway, http, name, body)
        assert (answer.status_code, answer.json()["type"]) == (409, f"{PROBLEM}wrong-state")
        assert answer.json()["notice_state"] == "quarantined"
        assert answer.json()["detail"] == "this cannot be read once more: it is no event (it has no id)"


async def test_a_body_is_shown_to_administrators_only_and_masked(gateway: Counter, http: httpx.AsyncClient) -> None:
    """Who may read sees what became of it; who may administer sees what it says, without secrets or card numbers."""
    payment = await waiting(gateway, http, "masked")
    note = event("noted", data={"object": {"id": "cus_1", "note": "card 4242 4242 4242 4242", "name": "Kim"}})
    await keep(gateway, note)
    reading = await gateway.ask(http, "/notices/evt_masked", token=gateway.limited[Scope.READ])
    assert (reading.status_code, "body" in reading.json(), reading.json()["body_kept"]) == (200, False, True)

    shown = (await gateway.ask(http, "/notices/evt_masked")).json()
    thing = shown["body"]["data"]["object"]
    assert (thing["client_secret"], thing["id"]) == ("…", payment["payment_intent_id"])
    assert "ofTheCustomer" not in json.dumps(shown)
    noted = (await gateway.ask(http, "/notices/evt_noted")).json()["body"]["data"]["object"]
    assert noted == {"id": "cus_1", "note": "…", "name": "Kim"}


async def test_a_dry_run_shows_the_change_and_makes_none(gateway: Counter, http: httpx.AsyncClient) -> None:
    """Before and after, the facts that would be written; then the payment is as it was, and so is the notice."""
    payment = await waiting(gateway, http, "dry")
    answer = await replay(gateway, http, "evt_dry", {"dry_run": True})
    said = answer.json()
    assert (answer.status_code, said["dry_run"], said["notice"]["state"]) == (200, True, "kept")
    assert said["would_be"] == {"state": "done", "reason": None, "payment_id": payment["payment_id"]}
    assert (said["before"]["status"], said["after"]["status"]) == ("requires_action", "succeeded")
    assert (said["before"]["amount_captured"], said["after"]["amount_captured"]) == (0, 1999)
    assert (said["facts"], said["alarms"]) == ([{"type": "PaymentSucceeded", "sequence": 3}], [])
    now = (await gateway.ask(http, f"/payments/{payment['payment_id']}")).json()
    assert (now["status"], now["version"]) == ("requires_action", 2)
    assert (await gateway.ask(http, "/notices/evt_dry")).json()["state"] == "kept"


async def test_a_replay_lets_it_be_read_once_more(gateway: Counter, http: httpx.AsyncClient) -> None:
    """202, as often as it is asked; whoever asked is on record in the log."""
    await keep(gateway, event("again"), state=notices.NoticeState.PARKED, reason="a test")
    for body in (None, {"dry_run": False}):
        answer = await replay(gateway, http, "evt_again", body)
        said = answer.json()
        assert (answer.status_code, said["dry_run"]) == (202, False)
        assert (said["notice"]["state"], said["notice"]["reason"], said["notice"]["tries"]) == ("kept", None, 0)
    assert '"event_id": "evt_again", "token": "shop"' in gateway.running.log()


@pytest.mark.parametrize("known", [True, False])
async def test_what_has_lost_its_body_says_what_is_done_instead(
    gateway: Counter, http: httpx.AsyncClient, *, known: bool
) -> None:
    """409: its payment is asked about, where it is known; the notice is shown as having no body any more."""
    payment = (await gateway.charge(http, order("gone"))).json()["payment_id"]
    name = f"gone_{known}"
    await keep(gateway, event(name), state=notices.NoticeState.DONE, payment_id=payment if known else None)
    await gateway.fetch("DELETE FROM notice_bodies WHERE event_id = $1", f"evt_{name}")
    shown = (await gateway.ask(http, f"/notices/evt_{name}")).json()
    assert (shown["body_kept"], shown["body"]) == (False, None)
    answer = await replay(gateway, http, f"evt_{name}")
    assert (answer.status_code, answer.json()["type"]) == (409, f"{PROBLEM}wrong-state")
    instead = "so its payment is asked about instead" if known else "and no payment of ours is known to ask about"
    assert answer.json()["detail"] == f"this cannot be read once more: its body has expired, {instead}"
    state = await gateway.fetch("SELECT state FROM notices WHERE event_id = $1", f"evt_{name}")
    assert state == ("kept" if known else "done")


async def test_of_both_modes_this_installations_is_meant(gateway: Counter, http: httpx.AsyncClient) -> None:
    """Unless the other is named; a connected account's events are found under its name."""
    await keep(gateway, event("both"), event("both", livemode=True), event("theirs", account="acct_1"))
    asked = [await gateway.ask(http, f"/notices/evt_both{query}") for query in ("", "?livemode=true")]
    assert [one.json()["livemode"] for one in asked] == [False, True]
    assert (await gateway.ask(http, "/notices/evt_theirs")).status_code == 404
    assert (await gateway.ask(http, "/notices/evt_theirs?account=acct_1")).json()["account"] == "acct_1"


@pytest.mark.parametrize("scope", [scope for scope in Scope if scope is not Scope.ADMIN])
async def test_only_an_administrator_replays(gateway: Counter, http: httpx.AsyncClient, scope: Scope) -> None:
    """And who may only charge or refund sees none."""
    token = gateway.limited[scope]
    assert (await replay(gateway, http, "evt_any", {"dry_run": True}, token)).status_code == 403
    expected = 200 if scope is Scope.READ else 403
    assert (await gateway.ask(http, "/notices", token=token)).status_code == expected
    assert (await http.get(f"{gateway.running.url}/notices/evt_any")).status_code == 401


@pytest.mark.parametrize("name", ["evt_nowhere", "00000000-0000-7000-8000-000000000000", "evt%2Fwith%2Fslashes"])
async def test_what_is_not_there_is_not_found(gateway: Counter, http: httpx.AsyncClient, name: str) -> None:
    """No such event, nothing of that id in quarantine."""
    assert (await gateway.ask(http, f"/notices/{name}")).status_code == 404
    assert (await replay(gateway, http, name)).status_code == 404


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("state=read", "state"),
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("cursor=x", "cursor"),
        ("cursor=2026-03-01/evt_1", "cursor"),
        ("cursor=%00", "cursor"),
        ("state=quarantined&cursor=x", "cursor"),
        ("state=quarantined&type=a", "state"),
        ("type=%00", "type"),
        ("payment_id=x", "payment_id"),
        ("since=yesterday", "since"),
        ("since=2026-03-01T00:00:00", "since"),
    ],
)
async def test_a_list_that_there_is_none_of_is_refused(
    gateway: Counter, http: httpx.AsyncClient, query: str, field: str
) -> None:
    """The field at fault is named."""
    answer = await gateway.ask(http, f"/notices?{query}")
    assert (answer.status_code, answer.json()["field"]) == (400, field)


@pytest.mark.parametrize(("body", "field"), [({"dry_run": "yes"}, "dry_run"), ({"dryrun": True}, "dryrun"), ([], None)])
async def test_a_replay_that_is_not_understood_is_refused(
    gateway: Counter, http: httpx.AsyncClient, body: Any, field: str | None
) -> None:
    """Before anything is done: a dry run that is misspelt must not become a replay."""
    await keep(gateway, event("misspelt"), state=notices.NoticeState.DONE)
    answer = await replay(gateway, http, "evt_misspelt", body)
    assert (answer.status_code, answer.json().get("field")) == (400, field)
    assert await gateway.fetch("SELECT state FROM notices WHERE event_id = 'evt_misspelt'") == "done"
