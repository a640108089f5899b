"""What the demo calls a difference between a machine and its payment."""

import subprocess
import sys
from typing import Any

import pytest

from counterfoil.cli.machine_demo import SCENES, amiss

PAID, DECLINED = SCENES[0], SCENES[1]
EFFECTS: dict[str, Any] = {"record": {}, "receipt": {}, "inventory": {}}


def succeeded(**changes: Any) -> dict[str, Any]:
    return {
        "status": "SUCCEEDED",
        "error": None,
        "output": {"payment": {"payment_id": "p"}, "effects": EFFECTS},
        **changes,
    }


def failed(error: str) -> dict[str, Any]:
    return {"status": "FAILED", "error": error, "output": None, "cause": {"payment_id": "p"}}


def payment(status: str) -> dict[str, Any]:
    return {"payment_id": "p", "status": status}


def test_a_machine_and_its_payment_are_one() -> None:
    """Nothing is amiss where both ended as they were to, of one payment, and all was seen to."""
    done = [{"kind": "receipt", "state": "done"}, {"kind": "stock_decrement", "state": "skipped"}]
    assert amiss(PAID, succeeded(), payment("succeeded"), done) == []
    assert amiss(DECLINED, failed("PaymentDeclined"), payment("failed"), done) == []


@pytest.mark.parametrize(
    ("ended", "found", "effects", "line"),
    [
        (failed("PaymentTimedOut"), "succeeded", "done", "the execution ended FAILED PaymentTimedOut"),
        (failed("PaymentTimedOut") | {"cause": "Nothing was heard"}, "succeeded", "done", "FAILED PaymentTimedOut"),
        (succeeded(), "failed", "done", "the payment is failed, and was to be succeeded"),
        (succeeded(output={"payment": {"payment_id": "q"}, "effects": EFFECTS}), "succeeded", "done", "of payment q"),
        (succeeded(output={"payment": {"payment_id": "p"}, "effects": {}}), "succeeded", "done", "did not see to all"),
        (succeeded(), "succeeded", "waiting", "receipt is waiting"),
    ],
)
def test_what_differs_is_named(ended: dict[str, Any], found: str, effects: str, line: str) -> None:
    """Each is a line of its own, and makes the demo's exit code 1."""
    (said,) = amiss(PAID, ended, payment(found), [{"kind": "receipt", "state": effects}])
    assert line in said


def test_without_moto_the_demo_says_what_to_do() -> None:
    """It is a package for developers, and stands for AWS."""
    program = (
        "import sys; sys.modules['moto'] = None\n"
        "from counterfoil.cli.application import exit_code_of\n"
        "sys.exit(exit_code_of(['step-functions', 'demo']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (
        78,
        "counterfoil: moto is not installed, and stands for AWS here: make demo-step-functions\n",
    )
