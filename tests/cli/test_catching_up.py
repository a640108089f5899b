import json
import subprocess
from collections.abc import Callable
from typing import Any

from tests.cli.peer import Peer, Reply

Command = Callable[..., subprocess.CompletedProcess[str]]

ASKED = "2026-03-01T12:00:00.5Z"
BEFORE = {
    "since": "2026-02-28T12:00:00Z",
    "started_at": "2026-03-01T11:50:00Z",
    "ended_at": "2026-03-01T11:50:01Z",
    "listed": 9,
    "expected": 9,
    "found": 9,
    "missing": 0,
    "missing_by_type": {},
}
FOUND = BEFORE | {
    "started_at": "2026-03-01T12:00:01Z",
    "expected": 30,
    "found": 27,
    "missing": 3,
    "missing_by_type": {"payment_intent.succeeded": 2, "charge.succeeded": 1},
}


def view(last: Any) -> Reply:
    return Reply({"asked_at": ASKED, "last": last})


def test_it_asks_for_a_run_and_says_what_was_missing(counterfoil: Command, peer: Peer) -> None:
    """The report of an earlier run is not taken for it; then expected against found, and what was missing by type."""
    peer.replies["/catch-up"] = [view(BEFORE), view(BEFORE), view(FOUND)]
    done = counterfoil("catch-up", "--since", "2026-02-28T12:00:00Z", settings=peer.settings)
    assert (done.returncode, done.stderr) == (0, "")
    first, *rest = done.stdout.splitlines()
    assert first.startswith("Stripe lists 30 events about your payments since ")
    assert first.endswith(": 27 were here, 3 missing and are kept now; a worker reads them.")
    assert [line.split() for line in rest[1:]] == [["charge.succeeded", "1"], ["payment_intent.succeeded", "2"]]
    assert [(method, body) for method, _, body in peer.asked] == [
        ("POST", {"since": "2026-02-28T12:00:00Z"}),
        ("GET", None),
        ("GET", None),
    ]


def test_it_only_shows_where_that_is_wanted(counterfoil: Command, peer: Peer) -> None:
    """As the gateway has it, for another program; where nobody looked yet it says so."""
    peer.replies["/catch-up"] = [view(BEFORE)]
    shown = counterfoil("catch-up", "--show", "--json", settings=peer.settings)
    assert json.loads(shown.stdout) == BEFORE
    peer.replies["/catch-up"] = [view(None)]
    none = counterfoil("catch-up", "--show", settings=peer.settings)
    assert (none.returncode, none.stderr) == (1, "counterfoil: nothing was looked through yet\n")
