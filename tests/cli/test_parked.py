import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from tests.cli.peer import Peer, Reply
from tests.cli.test_payments import SUCCEEDED

Command = Callable[..., subprocess.CompletedProcess[str]]

AT = "2026-01-02T03:04:05.678901Z"


def effect(**changes: Any) -> dict[str, Any]:
    return {
        "id": "0199-a/receipt",
        "payment_id": "0199-a",
        "kind": "receipt",
        "state": "parked",
        "reason": "the mail server refuses the recipient (550)",
        "tries": 8,
        "next_try_at": None,
        "created_at": AT,
        "ended_at": AT,
    } | changes


def test_what_waits_for_a_person_is_listed_page_by_page(counterfoil: Command, peer: Peer) -> None:
    """With the id that the other commands take, and why."""
    second = effect(id="0199-b/customer_notice")
    peer.replies["/effects"] = [
        Reply({"effects": [effect()], "next_cursor": "0199-a/receipt"}),
        Reply({"effects": [second], "next_cursor": None}),
    ]
    done = counterfoil("parked", "list", settings=peer.settings)
    assert done.returncode == 0
    assert [line.split(maxsplit=4)[2:] for line in done.stdout.splitlines()[1:]] == [
        ["0199-a/receipt", "8", "the mail server refuses the recipient (550)"],
        ["0199-b/customer_notice", "8", "the mail server refuses the recipient (550)"],
    ]
    assert [path for _, path, _ in peer.asked] == [
        "/effects?state=parked&limit=100",
        "/effects?state=parked&limit=100&cursor=0199-a%2Freceipt",
    ]
    peer.replies["/effects"] = [Reply({"effects": [effect()], "next_cursor": None})]
    listed = counterfoil("parked", "list", "--json", settings=peer.settings)
    assert json.loads(listed.stdout) == [effect()]


def test_where_nothing_is_parked_it_says_so(counterfoil: Command, peer: Peer) -> None:
    """Or an empty array, for another program."""
    peer.replies["/effects"] = [Reply({"effects": [], "next_cursor": None})]
    assert counterfoil("parked", "list", settings=peer.settings).stdout == "Nothing is parked.\n"
    assert counterfoil("parked", "list", "--json", settings=peer.settings).stdout == "[]\n"


@pytest.mark.parametrize(("command", "said"), [("replay", "is tried anew"), ("drop", "is dropped")])
def test_a_person_decides(counterfoil: Command, peer: Peer, command: str, said: str) -> None:
    """One line says what was done."""
    peer.replies[f"/effects/0199-a/receipt/{command}"] = [Reply(effect(state="waiting"))]
    done = counterfoil("parked", command, "0199-a/receipt", settings=peer.settings)
    assert (done.returncode, done.stdout) == (0, f"0199-a/receipt {said}\n")
    assert peer.asked == [("POST", f"/effects/0199-a/receipt/{command}", {})]


def test_what_is_not_parked_is_refused(counterfoil: Command, peer: Peer) -> None:
    """The gateway's sentence, and exit 1."""
    sentence = "only what is parked can be replayed or dropped, and this is done"
    peer.replies["/effects/0199-a/receipt/drop"] = [Reply({"title": "Wrong state", "detail": sentence}, 409)]
    done = counterfoil("parked", "drop", "0199-a/receipt", settings=peer.settings)
    assert (done.returncode, done.stderr) == (1, f"counterfoil: Wrong state: {sentence} [409]\n")


def test_a_lost_answer_says_how_to_find_out(counterfoil: Command, peer: Peer) -> None:
    """It may have been done (exit 69)."""
    peer.replies["/effects/0199-a/receipt/replay"] = [Reply(None)]
    done = counterfoil("parked", "replay", "0199-a/receipt", settings=peer.settings)
    assert done.returncode == 69
    assert done.stderr == "counterfoil: the answer of the gateway was lost; `counterfoil parked list` tells\n"


@pytest.mark.parametrize("name", ["0199-a", "/receipt", "0199-a/"])
def test_what_is_no_id_is_usage(counterfoil: Command, peer: Peer, name: str) -> None:
    """Nothing is asked of the gateway (exit 2)."""
    assert counterfoil("parked", "drop", name, settings=peer.settings).returncode == 2
    assert peer.asked == []


def test_show_tells_what_followed(counterfoil: Command, peer: Peer) -> None:
    """Beneath the timeline: which effect, how it stands, why, and when it is tried again."""
    waiting = effect(state="waiting", reason="the mail server hung up", tries=2, next_try_at=AT, ended_at=None)
    followed = [waiting, effect(kind="stock_decrement", state="skipped", reason="no items", tries=0)]
    peer.replies["/payments/0199-a"] = [Reply(SUCCEEDED)]
    peer.replies["/payments/0199-a/timeline"] = [Reply({"entries": []})]
    peer.replies["/payments/0199-a/effects"] = [Reply({"effects": followed})]
    shown = counterfoil("show", "0199-a", settings=peer.settings)
    assert [line.split() for line in shown.stdout.splitlines()[-2:]] == [
        ["03:04:05.678", "receipt", "waiting", "the", "mail", "server", "hung", "up;", "again", "at", "03:04:05.678"],
        ["03:04:05.678", "stock_decrement", "skipped", "no", "items"],
    ]
    assert json.loads(counterfoil("show", "0199-a", "--json", settings=peer.settings).stdout)["effects"] == followed


def test_pay_names_whom_to_tell_and_in_which_language(counterfoil: Command, peer: Peer) -> None:
    """Both are the order's."""
    peer.replies["/charge"] = [Reply(SUCCEEDED)]
    counterfoil("pay", "5", "EUR", "--email", "kim@customer.example", "--locale", "de", settings=peer.settings)
    ((_, _, body),) = peer.asked
    assert (body["customer_email"], body["locale"]) == ("kim@customer.example", "de")
