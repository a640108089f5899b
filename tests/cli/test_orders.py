from collections.abc import Callable
from subprocess import CompletedProcess

from tests.cli.peer import Peer, Reply

from counterfoil.cli.exits import ExitCode

Command = Callable[..., CompletedProcess[str]]


def test_cancel_order_says_what_became_of_each_payment(counterfoil: Command, peer: Peer) -> None:
    """An order's id may hold what a path may not."""
    payments = [{"payment_id": "0199-a", "status": "failed"}, {"payment_id": "0199-b", "status": "succeeded"}]
    peer.replies["/orders/a%2Fb/cancel"] = [Reply({"order_id": "a/b", "payments": payments}, 202)]

    done = counterfoil("cancel-order", "a/b", "--reason", "out_of_stock", settings=peer.settings)

    assert (done.returncode, done.stdout) == (ExitCode.DONE, "failed  0199-a\nsucceeded  0199-b\n")
    assert peer.asked == [("POST", "/orders/a%2Fb/cancel", {"reason": "OUT_OF_STOCK"})]


def test_cancel_order_before_its_payment_says_that_it_waits(counterfoil: Command, peer: Peer) -> None:
    """Nothing is there to be canceled, and what comes will be."""
    peer.replies["/orders/order-1/cancel"] = [Reply({"order_id": "order-1", "payments": []}, 202)]

    done = counterfoil("cancel-order", "order-1", settings=peer.settings)

    assert (done.returncode, "one that comes will be canceled" in done.stdout) == (ExitCode.DONE, True)


def test_cancel_order_takes_no_reason_of_ones_own(counterfoil: Command, peer: Peer) -> None:
    """The four that the message knows, and nothing is asked."""
    done = counterfoil("cancel-order", "order-1", "--reason", "bored", settings=peer.settings)

    assert (done.returncode, "CUSTOMER_REQUESTED" in done.stderr, peer.asked) == (ExitCode.USAGE, True, [])
