import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from tests.cli.peer import Peer, Reply
from tests.cli.test_payments import PROBLEM, SUCCEEDED

Command = Callable[..., subprocess.CompletedProcess[str]]

HELD: dict[str, Any] = {**SUCCEEDED, "status": "authorized", "amount_captured": 0, "amount_to_capture": None}
SHOWN: dict[str, Any] = {**HELD, "hold_ends_at": "2026-01-09T02:04:05Z"}
UNDER_WAY = {**HELD, "amount_to_capture": 500}
CANCELED = {**HELD, "status": "canceled"}


@pytest.fixture
def asking(counterfoil: Command, peer: Peer) -> tuple[Command, Peer]:
    """The command, and the gateway it asks."""
    return counterfoil, peer


def test_pay_may_hold_only(counterfoil: Command, peer: Peer) -> None:
    """The order then says so, and a hold is no failure."""
    peer.replies["/charge"] = [Reply(HELD)]
    done = counterfoil("pay", "19.99", "EUR", "--hold", settings=peer.settings)
    assert (done.returncode, done.stdout) == (0, "authorized  19.99 EUR  0199-a\n")
    ((_, _, sent),) = peer.asked
    assert sent["capture_method"] == "manual"


@pytest.mark.parametrize(
    ("amount", "body", "answer", "line"),
    [
        ("", {}, Reply(SUCCEEDED), "succeeded  19.99 EUR  0199-a\n"),
        (
            "5.00",
            {"amount": 500},
            Reply({**SUCCEEDED, "amount_captured": 500}),
            "succeeded  19.99 EUR  0199-a  5.00 EUR of it taken\n",
        ),
        (
            "5",
            {"amount": 500},
            Reply(UNDER_WAY, 202),
            "authorized  19.99 EUR  0199-a  5.00 EUR of it is being taken\n",
        ),
    ],
)
def test_capture_takes_all_or_a_part(
    asking: tuple[Command, Peer], amount: str, body: dict[str, Any], answer: Reply, line: str
) -> None:
    """By the order's id as well, in the payment's own currency; the line says how much was taken, or is being."""
    counterfoil, peer = asking
    arguments = ("--amount", amount) if amount else ()
    peer.replies["/orders/order-1/payment"] = [Reply(SHOWN)]
    peer.replies["/payments/0199-a/capture"] = [answer]
    done = counterfoil("capture", "order-1", *arguments, settings=peer.settings)
    assert (done.returncode, done.stdout, done.stderr) == (0, line, "")
    assert peer.asked[-1] == ("POST", "/payments/0199-a/capture", body)


def test_cancel_lets_go(counterfoil: Command, peer: Peer) -> None:
    """A canceled payment is what was wanted: exit 0."""
    peer.replies["/payments/0199-a"] = [Reply(SHOWN)]
    peer.replies["/payments/0199-a/cancel"] = [Reply(CANCELED)]
    done = counterfoil("cancel", "0199-a", settings=peer.settings)
    assert (done.returncode, done.stdout) == (0, "canceled  19.99 EUR  0199-a\n")


def test_as_json_it_is_the_payment(counterfoil: Command, peer: Peer) -> None:
    """What was known of it, as it stands now."""
    peer.replies["/payments/0199-a"] = [Reply(SHOWN)]
    peer.replies["/payments/0199-a/capture"] = [Reply(SUCCEEDED)]
    done = counterfoil("capture", "0199-a", "--json", settings=peer.settings)
    assert json.loads(done.stdout) == {**SHOWN, **SUCCEEDED}


@pytest.mark.parametrize("command", ["capture", "cancel"])
def test_a_refusal_is_one_line(counterfoil: Command, peer: Peer, command: str) -> None:
    """In the gateway's own words."""
    peer.replies["/payments/0199-a"] = [Reply(SUCCEEDED)]
    peer.replies[f"/payments/0199-a/{command}"] = [
        Reply({"title": "The payment's state does not allow this", "payment_status": "succeeded"}, 409, PROBLEM)
    ]
    done = counterfoil(command, "0199-a", settings=peer.settings)
    line = "counterfoil: The payment's state does not allow this [409]\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", line)


@pytest.mark.parametrize("command", ["capture", "cancel"])
def test_a_lost_answer_may_be_asked_for_again(counterfoil: Command, peer: Peer, command: str) -> None:
    """The same command does it, and does nothing twice."""
    peer.replies["/payments/0199-a"] = [Reply(SHOWN)]
    peer.replies[f"/payments/0199-a/{command}"] = [Reply(None)]
    done = counterfoil(command, "0199-a", settings=peer.settings)
    assert done.returncode == 69
    assert "the same command asks again" in done.stderr


@pytest.mark.parametrize("amount", ["5.001", "-5", "abc", "1e2"])
def test_what_is_no_amount_is_never_sent(counterfoil: Command, peer: Peer, amount: str) -> None:
    """The payment is looked at for its currency, and nothing is asked of it."""
    peer.replies["/payments/0199-a"] = [Reply(SHOWN)]
    done = counterfoil("capture", "0199-a", "--amount", amount, settings=peer.settings)
    assert done.returncode == 1
    assert [method for method, _, _ in peer.asked] == ["GET"]


def test_show_tells_of_a_hold(counterfoil: Command, peer: Peer) -> None:
    """Until when it is held, and what of it is being taken."""
    peer.replies["/payments/0199-a"] = [Reply({**SHOWN, "amount_to_capture": 500})]
    peer.replies["/payments/0199-a/timeline"] = [Reply({"payment_id": "0199-a", "entries": []})]
    lines = [line.split() for line in counterfoil("show", "0199-a", settings=peer.settings).stdout.splitlines()]
    assert ["to", "capture", "5.00", "EUR"] in lines
    assert ["held", "until", "2026-01-09", "02:04:05"] in lines
