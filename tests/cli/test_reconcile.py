import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from tests.cli.peer import Peer, Reply

Command = Callable[..., subprocess.CompletedProcess[str]]

TO_DO = "find out who asked for it"
AT = "2026-01-02T03:04:05.678901Z"


def comparison(**changes: Any) -> dict[str, Any]:
    return {
        "reconciliation_id": "0199-r",
        "asked_by": "kim",
        "since": AT,
        "until": AT,
        "stage": "finished",
        "progress": 1.0,
        "payments_compared": 7,
        "foreign": 2,
        "differences": {"suspected": 0, "settled": 0, "left": 0, "acknowledged": 0},
        "asked_at": AT,
        "started_at": AT,
        "finished_at": AT,
    } | changes


def difference(**changes: Any) -> dict[str, Any]:
    return {
        "difference_id": "0199-d",
        "subject": "payment",
        "verdict": "ours_missing",
        "state": "left",
        "payment_id": "0199-a",
        "processor_reference": "pi_1",
        "ours": None,
        "theirs": "captured",
        "remedy": TO_DO,
    } | changes


COUNTED = f"payments compared since {AT}: 7"
LEFT = {"suspected": 0, "settled": 1, "left": 1, "acknowledged": 0}


def test_equal_books_exit_0(counterfoil: Command, peer: Peer) -> None:
    """It is asked for, followed to its end, and one line says that nothing differs."""
    going = comparison(stage="intent", progress=0.1, finished_at=None)
    peer.replies["/reconciliations"] = [Reply(going, 202)]
    peer.replies["/reconciliations/0199-r"] = [Reply(going), Reply(comparison())]
    peer.replies["/reconciliations/0199-r/differences"] = [Reply({"differences": [], "next_cursor": None})]
    done = counterfoil("reconcile", "--since", "2026-01-01", settings=peer.settings)
    assert done.returncode == 0
    assert done.stdout == (
        f"Both books are equal; {COUNTED}; differences settled: 0; acknowledged: 0; none of ours: 2\n"
    )
    assert peer.asked[0] == ("POST", "/reconciliations", {"since": "2026-01-01T00:00:00+00:00"})


def test_what_is_left_exits_1_and_says_what_to_do(counterfoil: Command, peer: Peer) -> None:
    """Each difference with its verdict, how both sides have it, and what was or can be done."""
    peer.replies["/reconciliations"] = [Reply(comparison(differences=LEFT), 202)]
    settled = difference(state="settled", verdict="state", ours="processing", remedy="the payment was told")
    pages = [Reply({"differences": [difference()], "next_cursor": None}), Reply({"differences": [settled]})]
    peer.replies["/reconciliations/0199-r/differences"] = pages
    done = counterfoil("reconcile", settings=peer.settings)
    assert done.returncode == 1
    assert [line.rstrip() for line in done.stdout.splitlines()] == [
        "left    payment, ours missing: pi_1",
        "        payment 0199-a: ours —, theirs captured",
        f"        {TO_DO}",
        "        difference 0199-d",
        "settled payment, state: pi_1",
        "        payment 0199-a: ours processing, theirs captured",
        "        the payment was told",
        f"Left to a person: 1; {COUNTED}; differences settled: 1; acknowledged: 0; none of ours: 2",
        "Once you have seen to one: `counterfoil reconcile --acknowledge DIFFERENCE --note …`",
    ]


def test_json_has_all_of_it(counterfoil: Command, peer: Peer) -> None:
    """The comparison and every difference, page after page; the exit code is the same."""
    peer.replies["/reconciliations/0199-r"] = [Reply(comparison(differences=LEFT))]
    second = difference(difference_id="0199-e", state="settled")
    peer.replies["/reconciliations/0199-r/differences"] = [
        Reply({"differences": [difference()], "next_cursor": "0199-d"}),
        Reply({"differences": [second], "next_cursor": None}),
    ]
    done = counterfoil("reconcile", "--show", "0199-r", "--json", settings=peer.settings)
    assert done.returncode == 1
    assert json.loads(done.stdout) == comparison(differences=LEFT) | {"differences_found": [difference(), second]}


def test_nobody_has_to_wait(counterfoil: Command, peer: Peer) -> None:
    """--detach asks for it and says how to follow it."""
    peer.replies["/reconciliations"] = [Reply(comparison(finished_at=None), 202)]
    done = counterfoil("reconcile", "--detach", settings=peer.settings)
    assert (done.returncode, done.stdout) == (
        0,
        "0199-r is asked for; `counterfoil reconcile --show 0199-r` follows it\n",
    )


def test_a_person_acknowledges_what_they_saw_to(counterfoil: Command, peer: Peer) -> None:
    """With a note that says what was done."""
    peer.replies["/differences/0199-d/acknowledge"] = [Reply(difference(state="acknowledged"))]
    done = counterfoil("reconcile", "--acknowledge", "0199-d", "--note", "given back", settings=peer.settings)
    assert (done.returncode, done.stdout) == (0, "0199-d is acknowledged\n")
    assert peer.asked == [("POST", "/differences/0199-d/acknowledge", {"note": "given back"})]


@pytest.mark.parametrize("arguments", [("--since", "yesterday"), ("--since", "0d"), ("--acknowledge", "0199-d")])
def test_what_is_not_understood_is_usage(counterfoil: Command, peer: Peer, arguments: tuple[str, ...]) -> None:
    """Nothing is asked of the gateway (exit 2)."""
    assert counterfoil("reconcile", *arguments, settings=peer.settings).returncode == 2
    assert peer.asked == []
