import subprocess
from collections.abc import Callable

import pytest
from tests.cli.peer import Peer, Reply
from tests.cli.test_payments import PROBLEM, SUCCEEDED

Command = Callable[..., subprocess.CompletedProcess[str]]

WAITING = {**SUCCEEDED, "status": "authorized", "amount_captured": 0}
REFUSED = {
    "title": "Wrong state",
    "detail": "a payment that is failed cannot be decided on",
    "payment_status": "failed",
}


@pytest.mark.parametrize(
    ("word", "sent"),
    [("approve", {"decision": "APPROVED"}), ("decline", {"decision": "DECLINED"})],
)
def test_a_person_decides_on_a_payment(counterfoil: Command, peer: Peer, word: str, sent: dict[str, str]) -> None:
    """By the payment's id or its order's; the answer is one line, and no failure of the command."""
    peer.replies["/orders/order-1/payment"] = [Reply(WAITING)]
    peer.replies["/payments/0199-a/review"] = [Reply({**WAITING, "status": "failed"})]
    done = counterfoil("review", "order-1", word, settings=peer.settings)
    assert (done.returncode, done.stdout) == (0, "failed  19.99 EUR  0199-a\n")
    assert peer.asked[-1] == ("POST", "/payments/0199-a/review", sent)


def test_a_decision_may_say_why(counterfoil: Command, peer: Peer) -> None:
    """The note goes along; with --json the answer comes as it is."""
    peer.replies["/payments/0199-a"] = [Reply(WAITING)]
    peer.replies["/payments/0199-a/review"] = [Reply(WAITING)]
    done = counterfoil("review", "0199-a", "approve", "--note", "a regular", "--json", settings=peer.settings)
    assert done.returncode == 0
    assert '"status": "authorized"' in done.stdout
    assert peer.asked[-1][2] == {"decision": "APPROVED", "note": "a regular"}


def test_what_is_not_under_review_is_refused_in_a_line(counterfoil: Command, peer: Peer) -> None:
    """Exit 1 with what the gateway said; a word that is no decision is wrong usage, and asks nobody."""
    peer.replies["/payments/0199-a"] = [Reply(WAITING)]
    peer.replies["/payments/0199-a/review"] = [Reply(REFUSED, 409, PROBLEM)]
    done = counterfoil("review", "0199-a", "approve", settings=peer.settings)
    assert (done.returncode, done.stdout) == (1, "")
    assert REFUSED["detail"] in done.stderr
    asked = len(peer.asked)
    assert counterfoil("review", "0199-a", "maybe", settings=peer.settings).returncode == 2
    assert len(peer.asked) == asked


def test_list_shows_what_waits_for_a_person(counterfoil: Command, peer: Peer) -> None:
    """Whatever its state; a status beside it is wrong usage. What waits for its check is listed by that state."""
    peer.replies["/payments"] = [Reply({"payments": [WAITING], "next_cursor": None})] * 2
    done = counterfoil("list", "--under-review", "--json", settings=peer.settings)
    assert '"status": "authorized"' in done.stdout
    assert counterfoil("list", "--status", "screening", "--json", settings=peer.settings).returncode == 0
    both = counterfoil("list", "--under-review", "--status", "screening", settings=peer.settings)
    assert (both.returncode, both.stdout) == (2, "")
