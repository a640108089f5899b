"""What the other tests here stand on: a Step Functions that carries machines out."""

import json

from tests.aws import Aws, Queue

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


def test_the_cause_that_a_task_fails_with_reaches_the_machine(aws: Aws) -> None:
    """As it does at AWS; moto by itself loses it."""
    queue = Queue.made(aws, "caused")
    waits = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "Parameters": {"QueueUrl": queue.url, "MessageBody": {"task_token.$": "$$.Task.Token"}},
        "Next": "End",
        "Catch": [{"ErrorEquals": ["Lost"], "Next": "End"}],
    }
    execution = aws.execution(
        aws.machine("caused", {"StartAt": "Wait", "States": {"Wait": waits, "End": {"Type": "Succeed"}}}), "one", {}
    )

    token = queue.taken()["task_token"]
    aws.step_functions.send_task_failure(taskToken=token, error="Lost", cause="in the post")

    assert json.loads(execution.ended()["output"]) == {"Error": "Lost", "Cause": "in the post"}
