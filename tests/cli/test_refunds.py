from collections.abc import Callable
from subprocess import CompletedProcess
from typing import Any

import pytest
from tests.cli.peer import Peer, Reply

from counterfoil.cli.exits import ExitCode

Command = Callable[..., CompletedProcess[str]]

PAYMENT = {"payment_id": "0199-a", "currency": "EUR", "amount": 1999, "status": "succeeded"}
REFUND: dict[str, Any] = {
    "refund_id": "0199-r",
    "payment_id": "0199-a",
    "amount": 500,
    "currency": "EUR",
    "status": "requested",
    "reason": "broken",
    "failure_reason": None,
}
PROBLEM = {"title": "The amount cannot be charged", "status": 422, "detail": "at most 4.00 EUR can be refunded now"}


def test_refund_asks_for_a_part_and_says_how_it_stands(counterfoil: Command, peer: Peer) -> None:
    """An amount as people write it, in the payment's own currency; the payment may be named by its order."""
    peer.replies["/orders/order-1/payment"] = [Reply(PAYMENT)]
    peer.replies["/payments/0199-a/refunds"] = [Reply(REFUND, 202)]

    done = counterfoil("refund", "order-1", "5.00", "--reason", "broken", "--key", "key-1", settings=peer.settings)

    assert (done.returncode, done.stdout) == (ExitCode.DONE, "requested  5.00 EUR  0199-r\n")
    assert peer.asked[-1] == ("POST", "/payments/0199-a/refunds", {"amount": 500, "reason": "broken"})


def test_refund_without_an_amount_asks_for_the_rest(counterfoil: Command, peer: Peer) -> None:
    """What that is the gateway knows; the answer is passed on to a program as it came."""
    peer.replies["/payments/0199-a"] = [Reply(PAYMENT)]
    peer.replies["/payments/0199-a/refunds"] = [Reply(REFUND, 202)]

    done = counterfoil("refund", "0199-a", "--json", settings=peer.settings)

    assert (done.returncode, '"refund_id": "0199-r"' in done.stdout) == (ExitCode.DONE, True)
    assert peer.asked[-1] == ("POST", "/payments/0199-a/refunds", {})


@pytest.mark.parametrize(
    ("reply", "code", "words"),
    [
        (Reply(PROBLEM, 422, "application/problem+json"), ExitCode.REFUSED, "at most 4.00 EUR can be refunded now"),
        (Reply(None), ExitCode.UNREACHABLE, "--key key-1 asks again and never gives back twice"),
    ],
    ids=["refused", "lost"],
)
def test_a_refund_that_is_not_made_says_why(
    counterfoil: Command, peer: Peer, reply: Reply, code: ExitCode, words: str
) -> None:
    """Refused, with the gateway's words; lost, with what to do."""
    peer.replies["/payments/0199-a"] = [Reply(PAYMENT)]
    peer.replies["/payments/0199-a/refunds"] = [reply]

    done = counterfoil("refund", "0199-a", "--key", "key-1", settings=peer.settings)

    assert (done.returncode, words in done.stderr) == (code, True)
