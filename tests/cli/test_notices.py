import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from tests.cli.peer import Peer, Reply

Command = Callable[..., subprocess.CompletedProcess[str]]

AT = "2026-01-02T03:04:05.678901Z"


def notice(**changes: Any) -> dict[str, Any]:
    return {
        "id": "evt_1",
        "account": None,
        "livemode": False,
        "type": "payment_intent.succeeded",
        "object_id": "pi_1",
        "state": "parked",
        "reason": "names a payment that is not here",
        "payment_id": "0199-a",
        "awaits_payment": True,
        "deliveries": 2,
        "tries": 8,
        "received_at": AT,
        "concluded_at": AT,
        "next_try_at": None,
        "body_kept": True,
    } | changes


def standing(**changes: Any) -> dict[str, Any]:
    return {
        "status": "requires_action",
        "version": 2,
        "payment_intent_id": "pi_1",
        "currency": "EUR",
        "amount_captured": 0,
        "amount_refunded": 0,
        "disputed": False,
        "next_check_at": AT,
        "attempts": [{"number": 1, "state": "requires_action", "charge_id": None}],
    } | changes


PAID = standing(
    status="succeeded",
    version=3,
    amount_captured=1999,
    next_check_at=None,
    attempts=[{"number": 1, "state": "captured", "charge_id": "ch_1"}],
)


def would_be(**changes: Any) -> dict[str, Any]:
    return {
        "dry_run": True,
        "notice": notice(),
        "would_be": {"state": "done", "reason": None, "payment_id": "0199-a"},
        "before": standing(),
        "after": PAID,
        "facts": [{"type": "PaymentSucceeded", "sequence": 3}],
        "alarms": [],
    } | changes


QUARANTINED = {
    "id": "0199-q",
    "state": "quarantined",
    "reason": "it has no id",
    "received_at": AT,
    "size_bytes": 2,
    "body_kept": True,
}


def cells(line: str) -> list[str]:
    return line.split(maxsplit=6)[2:]


def test_notices_are_listed_page_by_page(counterfoil: Command, peer: Peer) -> None:
    """Up to as many as are wanted; every option is the gateway's filter, and a time is sent with its zone."""
    peer.replies["/notices"] = [
        Reply({"notices": [notice()], "next_cursor": "2026-01-02T03:04:05Z/evt_1"}),
        Reply({"notices": [notice(id="evt_2", state="done", reason=None)], "next_cursor": "more"}),
    ]
    options = ("--state", "parked", "--type", "a.b", "--payment", "0199-a", "--since", "2026-01-01", "--limit", "2")
    done = counterfoil("notices", "list", *options, settings=peer.settings)
    assert done.returncode == 0
    assert [cells(line) for line in done.stdout.splitlines()[1:]] == [
        ["evt_1", "payment_intent.succeeded", "parked", "0199-a", "names a payment that is not here"],
        ["evt_2", "payment_intent.succeeded", "done", "0199-a"],
    ]
    asked = "state=parked&type=a.b&payment_id=0199-a&since=2026-01-01T00%3A00%3A00Z"
    assert [path for _, path, _ in peer.asked] == [
        f"/notices?{asked}&limit=2",
        f"/notices?{asked}&limit=1&cursor=2026-01-02T03%3A04%3A05Z%2Fevt_1",
    ]


def test_a_list_for_another_program(counterfoil: Command, peer: Peer) -> None:
    """As the gateway has it; an empty array where there is none, which people are told in words."""
    peer.replies["/notices"] = [Reply({"notices": [QUARANTINED], "next_cursor": None})]
    listed = counterfoil("notices", "list", "--state", "quarantined", "--json", settings=peer.settings)
    assert json.loads(listed.stdout) == [QUARANTINED]
    assert "it has no id" in counterfoil("notices", "list", settings=peer.settings).stdout
    peer.replies["/notices"] = [Reply({"notices": [], "next_cursor": None})]
    assert counterfoil("notices", "list", "--json", settings=peer.settings).stdout == "[]\n"
    assert counterfoil("notices", "list", settings=peer.settings).stdout == "There is no such notice.\n"


def test_a_notice_is_shown(counterfoil: Command, peer: Peer) -> None:
    """What became of it and why, its payment and how that stands; what it says only where that is asked for."""
    said = {"id": "evt_1", "data": {"object": {"client_secret": "…"}}}
    peer.replies["/notices/evt_1"] = [Reply(notice() | {"payment_status": "requires_action", "body": said})]
    shown = counterfoil("notices", "show", "evt_1", settings=peer.settings)
    lines = {line.split()[0]: line.split(maxsplit=1)[1].rstrip() for line in shown.stdout.splitlines()}
    assert lines == {
        "notice": "evt_1",
        "state": "parked",
        "why": "names a payment that is not here",
        "type": "payment_intent.succeeded",
        "object": "pi_1",
        "payment": "0199-a  requires_action",
        "mode": "test",
        "came": "2 times",
        "received": "2026-01-02 03:04:05",
        "settled": "2026-01-02 03:04:05",
        "body": "kept",
    }
    told = counterfoil("notices", "show", "evt_1", "--body", settings=peer.settings)
    assert json.loads(told.stdout.removeprefix(shown.stdout)) == said
    whole = counterfoil("notices", "show", "evt_1", "--json", settings=peer.settings)
    assert json.loads(whole.stdout)["body"] == said


def test_a_notice_that_was_never_delivered_says_so(counterfoil: Command, peer: Peer) -> None:
    """It was found in Stripe's list of events; one that came once, as nearly all do, says nothing of it."""
    peer.replies["/notices/evt_1"] = [Reply(notice(deliveries=0)), Reply(notice(deliveries=1))]
    found, delivered = (counterfoil("notices", "show", "evt_1", settings=peer.settings).stdout for _ in range(2))
    assert "came" in found
    assert "never: it was found by catching up" in found
    assert "came" not in delivered


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (notice(body_kept=False, body=None), "What it said is not kept any more."),
        (notice(), "What it says is shown to administrators only"),
        (QUARANTINED, "and what is no event to nobody."),
    ],
)
def test_where_what_it_says_is_not_shown_it_is_said(
    counterfoil: Command, peer: Peer, found: dict[str, Any], words: str
) -> None:
    """It has expired; the token is none of an administrator; it is no event."""
    peer.replies["/notices/evt_1"] = [Reply(found)]
    assert words in counterfoil("notices", "show", "evt_1", "--body", settings=peer.settings).stdout


def test_which_notice_is_meant_can_be_said(counterfoil: Command, peer: Peer) -> None:
    """Of a connected account, of one mode; an id's slashes are its own. One that is not there is exit 1."""
    options = ("evt/1", "--account", "acct_1", "--live")
    done = counterfoil("notices", "show", *options, settings=peer.settings)
    assert (done.returncode, done.stderr) == (1, "counterfoil: there is no notice of that id\n")
    assert peer.asked == [("GET", "/notices/evt%2F1?account=acct_1&livemode=true", None)]


def test_a_notice_is_read_once_more(counterfoil: Command, peer: Peer) -> None:
    """One line says so."""
    peer.replies["/notices/evt_1/replay"] = [Reply({"dry_run": False, "notice": notice(state="kept")}, 202)]
    done = counterfoil("notices", "replay", "evt_1", settings=peer.settings)
    assert (done.returncode, done.stdout, done.stderr) == (0, "evt_1 is read once more\n", "")
    assert peer.asked == [("POST", "/notices/evt_1/replay", {"dry_run": False})]


def test_a_dry_run_shows_the_change(counterfoil: Command, peer: Peer) -> None:
    """Line by line, what of the payment would be different, and which facts would be written."""
    peer.replies["/notices/evt_1/replay"] = [Reply(would_be(alarms=["more was taken"]))]
    done = counterfoil("notices", "replay", "evt_1", "--dry-run", settings=peer.settings)
    assert done.returncode == 0
    assert [" ".join(line.split()) for line in done.stdout.splitlines()] == [
        "notice evt_1",
        "type payment_intent.succeeded",
        "is parked",
        "would be done",
        "payment 0199-a",
        "status requires_action → succeeded",
        "captured 0.00 EUR → 19.99 EUR",
        "next check 2026-01-02 03:04:05 → none",
        "attempt 1 requires_action → captured ch_1",
        "fact PaymentSucceeded #3",
        "alarm more was taken",
    ]
    assert peer.asked == [("POST", "/notices/evt_1/replay", {"dry_run": True})]


def test_where_nothing_would_change_it_is_said(counterfoil: Command, peer: Peer) -> None:
    """A notice about nothing of ours, with the reason."""
    foreign = {"state": "foreign", "reason": "about an object that is none of ours", "payment_id": None}
    peer.replies["/notices/evt_1/replay"] = [Reply(would_be(would_be=foreign, before=None, after=None, facts=[]))]
    done = counterfoil("notices", "replay", "evt_1", "--dry-run", settings=peer.settings)
    assert [" ".join(line.split()) for line in done.stdout.splitlines()][-2:] == [
        "because about an object that is none of ours",
        "changes nothing",
    ]


def test_all_that_an_option_tells_are_read_once_more(counterfoil: Command, peer: Peer) -> None:
    """Every page of them, each of its own mode and account; what is refused is told, and the others go on (exit 1)."""
    refusal = "this cannot be read once more: its body has expired, so its payment is asked about instead"
    peer.replies["/notices"] = [
        Reply({"notices": [notice(), notice(id="evt_2", account="acct_1", livemode=True)], "next_cursor": "more"}),
        Reply({"notices": [notice(id="evt_3")], "next_cursor": None}),
    ]
    peer.replies["/notices/evt_1/replay"] = [Reply({"dry_run": False, "notice": notice(state="kept")}, 202)]
    peer.replies["/notices/evt_2/replay"] = [Reply({"title": "Wrong state", "detail": refusal}, 409)]
    peer.replies["/notices/evt_3/replay"] = [Reply({"dry_run": False, "notice": notice(state="kept")}, 202)]
    done = counterfoil("notices", "replay", "--state", "parked", settings=peer.settings)
    assert (done.returncode, done.stdout) == (1, "2 notices are read once more\n")
    assert done.stderr == f"counterfoil: evt_2: Wrong state: {refusal} [409]\n"
    assert [path for method, path, _ in peer.asked if method == "POST"] == [
        "/notices/evt_1/replay?livemode=false",
        "/notices/evt_2/replay?account=acct_1&livemode=true",
        "/notices/evt_3/replay?livemode=false",
    ]


def test_a_dry_run_of_many_is_a_table(counterfoil: Command, peer: Peer) -> None:
    """A line for each: how it is, how it would be, and what would change. For a program it is an array."""
    unmoved = would_be(notice=notice(id="evt_2"), after=standing(), facts=[])
    peer.replies["/notices/evt_1/replay"] = [Reply(would_be())]
    peer.replies["/notices/evt_2/replay"] = [Reply(unmoved)]
    done = counterfoil("notices", "replay", "evt_1", "evt_2", "--dry-run", settings=peer.settings)
    assert [" ".join(line.split()) for line in done.stdout.splitlines()[1:]] == [
        (
            "evt_1 payment_intent.succeeded parked done 0199-a status requires_action → succeeded; "
            "captured 0.00 EUR → 19.99 EUR; next check 2026-01-02 03:04:05 → none; "
            "attempt 1 requires_action → captured ch_1; PaymentSucceeded #3"
        ),
        "evt_2 payment_intent.succeeded parked done 0199-a nothing",
    ]
    told = counterfoil("notices", "replay", "evt_1", "evt_2", "--dry-run", "--json", settings=peer.settings)
    assert json.loads(told.stdout) == [{"id": "evt_1"} | would_be(), {"id": "evt_2"} | unmoved]


@pytest.mark.parametrize("count", [1, 3])
def test_a_person_sees_how_far_it_is(peer: Peer, count: int) -> None:
    """On a terminal, for more than one; elsewhere nothing but the result is written."""
    peer.replies["/notices"] = [Reply({"notices": [notice()] * count, "next_cursor": None})]
    peer.replies["/notices/evt_1/replay"] = [Reply({"dry_run": False, "notice": notice(state="kept")}, 202)]
    ours, theirs = pty.openpty()
    there = {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TERM": "xterm-256color", **peer.settings}
    command = [sys.executable, "-m", "counterfoil", "notices", "replay", "--state", "parked"]
    done = subprocess.run(command, env=there, stdout=subprocess.PIPE, stderr=theirs, timeout=60, check=True)
    os.close(theirs)
    os.set_blocking(ours, False)
    try:
        seen = os.read(ours, 65_536)
    except OSError:  # nothing was written
        seen = b""
    os.close(ours)
    assert (b"putting back" in seen, b"3/3" in seen) == (count > 1, count > 1)
    assert done.stdout.decode().endswith("read once more\n")


def test_where_there_is_none_to_read_it_is_said(counterfoil: Command, peer: Peer) -> None:
    """And it is no failure: there was nothing to do."""
    peer.replies["/notices"] = [Reply({"notices": [], "next_cursor": None})]
    done = counterfoil("notices", "replay", "--state", "parked", settings=peer.settings)
    assert (done.returncode, done.stdout) == (0, "There is no such notice.\n")


def test_a_gateway_that_goes_away_says_how_far_it_came(counterfoil: Command, peer: Peer) -> None:
    """Exit 69, and that asking again harms nothing."""
    peer.replies["/notices/evt_1/replay"] = [Reply({"dry_run": False, "notice": notice(state="kept")}, 202)]
    peer.replies["/notices/evt_2/replay"] = [Reply(None)]
    done = counterfoil("notices", "replay", "evt_1", "evt_2", settings=peer.settings)
    lost = "the answer of the gateway was lost; the same command asks again, and harms nothing"
    assert (done.returncode, done.stderr) == (69, f"counterfoil: {lost} (1 of 2 notices were done)\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ("replay",),
        ("replay", "evt_1", "--state", "parked"),
        ("replay", "--state", "parked", "--live"),
        ("replay", "--state", "quarantined"),
        ("replay", "--since", "yesterday"),
        ("list", "--state", "read"),
        ("list", "--since", "1.3.2026"),
        ("list", "--limit", "0"),
    ],
)
def test_what_is_not_meant_so_is_usage(counterfoil: Command, peer: Peer, arguments: tuple[str, ...]) -> None:
    """Nothing is asked of the gateway (exit 2)."""
    assert counterfoil("notices", *arguments, settings=peer.settings).returncode == 2
    assert peer.asked == []
