"""`counterfoil customer link`, against a gateway that answers as prepared."""

import json
import subprocess
from collections.abc import Callable

from tests.cli.peer import Peer, Reply

Command = Callable[..., subprocess.CompletedProcess[str]]

LINKED = {"customer_id": "ada", "stripe_customer": "cus_1", "default_payment_method": "pm_1", "updated_at": "…"}


def test_a_link_is_put_and_said_in_a_line(counterfoil: Command, peer: Peer) -> None:
    """Our id is quoted into the path; the method goes with it."""
    peer.replies["/customers/a%2Fda"] = [Reply(LINKED)]
    done = counterfoil("customer", "link", "a/da", "cus_1", "--method", "pm_1", settings=peer.settings)
    assert (done.returncode, done.stdout) == (0, "ada is cus_1 and pays with pm_1 when an order names no method\n")
    body = {"stripe_customer": "cus_1", "default_payment_method": "pm_1"}
    assert peer.asked == [("PUT", "/customers/a%2Fda", body)]


def test_a_link_without_a_method_has_none(counterfoil: Command, peer: Peer) -> None:
    """What is left out is not kept from before."""
    peer.replies["/customers/ada"] = [Reply({**LINKED, "default_payment_method": None})]
    done = counterfoil("customer", "link", "ada", "cus_1", "--json", settings=peer.settings)
    assert json.loads(done.stdout) == {**LINKED, "default_payment_method": None}
    assert peer.asked[0][2] == {"stripe_customer": "cus_1", "default_payment_method": None}


def test_what_the_gateway_refuses_is_told_in_its_words(counterfoil: Command, peer: Peer) -> None:
    """One line, and exit code 1."""
    problem = {"title": "Not this shape", "detail": "stripe_customer is not what we ask for", "field": "x"}
    peer.replies["/customers/ada"] = [Reply(problem, 400, "application/problem+json")]
    done = counterfoil("customer", "link", "ada", "bob", settings=peer.settings)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("counterfoil: Not this shape")
