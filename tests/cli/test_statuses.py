"""`counterfoil status`, against a gateway that answers as prepared."""

import json
import subprocess
from collections.abc import Callable

from tests.cli.peer import Peer, Reply

Command = Callable[..., subprocess.CompletedProcess[str]]

REFUNDED = {
    "order_id": "order/1",
    "payment_id": "0199-a",
    "status": "refunded",
    "amount": 1999,
    "currency": "EUR",
    "amount_captured": 1999,
    "amount_refunded": 1999,
}


def test_an_order_is_told_in_one_line(counterfoil: Command, peer: Peer) -> None:
    """The word first, then the money; the order's id is quoted, so that none can leave its path."""
    peer.replies["/orders/order%2F1/status"] = [Reply(REFUNDED)]
    done = counterfoil("status", "order/1", settings=peer.settings)
    assert (done.returncode, done.stdout) == (
        0,
        "refunded  19.99 EUR  captured 19.99 EUR  refunded 19.99 EUR  0199-a\n",
    )
    as_json = counterfoil("status", "order/1", "--json", settings=peer.settings)
    assert json.loads(as_json.stdout) == REFUNDED


def test_an_order_without_a_payment_is_said_to_have_none(counterfoil: Command, peer: Peer) -> None:
    """One line, and the exit code of a refusal."""
    done = counterfoil("status", "nothing", settings=peer.settings)
    assert (done.returncode, done.stderr) == (1, "counterfoil: no order of that id has a payment\n")
    assert len(peer.asked) == 1
