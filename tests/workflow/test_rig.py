"""What the other tests here stand on: a Step Functions that carries machines out."""

from tests.aws import Aws

PASSES_OR_FAILS = {
    "StartAt": "Choose",
    "States": {
        "Choose": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.good", "BooleanEquals": True, "Next": "Good"}],
            "Default": "Bad",
        },
        "Good": {"Type": "Succeed"},
        "Bad": {"Type": "Fail", "Error": "Bad", "Cause": "it was to fail"},
    },
}


def test_a_machine_that_must_fail_fails(aws: Aws) -> None:
    """A server that is not switched on says SUCCEEDED to everything; ours has read the machine and its input."""
    machine = aws.machine("passes-or-fails", PASSES_OR_FAILS)

    bad = aws.execution(machine, "bad", {"good": False}).ended()
    good = aws.execution(machine, "good", {"good": True}).ended()

    assert (bad["status"], bad["error"], bad["cause"]) == ("FAILED", "Bad", "it was to fail")
    assert good["status"] == "SUCCEEDED"


def test_a_history_tells_the_states_that_were_entered(aws: Aws) -> None:
    """It is the machine's own, not one that is always the same."""
    machine = aws.machine("told", PASSES_OR_FAILS)

    execution = aws.execution(machine, "told", {"good": False})
    execution.ended()

    assert execution.entered() == ["Choose", "Bad"]
