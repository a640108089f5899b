"""The demo of Step Functions, as a person calls it."""

import re
import subprocess
from pathlib import Path

from tests.acceptance.conftest import command

STEPS = [
    (
        r"TaskSubmitted +RequestPayment\n(?s:.+)fact PaymentSucceeded\n",
        r"notice payment_intent\.succeeded done\n(?s:.+)SucceedStateEntered +PaymentSucceeded\n",
        r"TaskSubmitted +SendReceipt\n",
        r"task receipt answered succeeded\n",
        r"the machine: SUCCEEDED +the payment: succeeded\n",
    ),
    (
        r"fact PaymentFailed\n(?s:.+)TaskFailed +RequestPayment PaymentDeclined\n",
        r"TaskSubmitted +NotifyCustomer\n(?s:.+)task notify answered succeeded\n",
        r"the machine: FAILED PaymentDeclined +the payment: failed\n",
    ),
    (
        r"fact PaymentAttemptFailed\n(?s:.+)WaitStateEntered +WaitBeforeRetry\n(?s:.+)request attempt 2\n",
        r"TaskSubmitted +RetryPayment\n(?s:.+)task retry answered succeeded\n",
        r"the machine: SUCCEEDED +the payment: succeeded\n",
    ),
    (
        r"PassStateEntered +TimeoutsOfDelayedMethods\n(?s:.+)fact PaymentProcessing\n",
        r"3 days pass at the bank\n(?s:.+)fact PaymentSucceeded\n",
        r"the machine: SUCCEEDED +the payment: succeeded\n",
    ),
]
"""What is told of each payment, in this order, whatever else there is between."""


def test_a_machine_drives_four_payments_and_all_agree(environment: dict[str, str], tmp_path: Path) -> None:
    """Its history stands beside each payment's timeline; it exits 0, and leaves nothing behind."""
    done = subprocess.run(
        command("step-functions", "demo"),
        env=environment | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    told = re.sub(r" +\n", "\n", done.stdout)
    scenes = re.split(r"^\d  .+: [\d.]+ EUR\n", told, flags=re.MULTILINE)[1:]
    for scene, steps in zip(scenes, STEPS, strict=True):
        assert [step for step in steps if not re.search(step, scene)] == []
    assert "Machine, payment and Stripe agree on all 4 payments.\n" in told
    assert list(tmp_path.iterdir()) == []
