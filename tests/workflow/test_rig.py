"""What the other tests here stand on: a Step Functions that carries machines out."""

import json
from typing import Any

import pytest
from tests.aws import Aws, Queue
from tests.stage import until

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
    execution = aws.execution(aws.machine("caused", waiting(queue, "Lost")), "one", {})

    aws.step_functions.send_task_failure(taskToken=queue.taken()["task_token"], error="Lost", cause="in the post")

    assert json.loads(execution.ended()["output"]) == {"Error": "Lost", "Cause": "in the post"}


def test_heartbeats_that_stay_away_have_a_name_of_their_own(aws: Aws) -> None:
    """As they do at AWS; to moto by itself they are as a timeout is."""
    queue = Queue.made(aws, "silent")
    execution = aws.execution(aws.machine("silent", waiting(queue, "States.HeartbeatTimeout")), "one", {})

    assert execution.ended()["status"] == "SUCCEEDED"
    assert [
        one["taskTimedOutEventDetails"]["error"] for one in execution.events() if one["type"] == "TaskTimedOut"
    ] == ["States.HeartbeatTimeout"]


def test_a_token_that_was_used_or_whose_time_is_over_is_refused(aws: Aws) -> None:
    """As at AWS, while the execution still runs; moto by itself takes it again, and sends the same one with a retry."""
    queue = Queue.made(aws, "refused")
    machine = waiting(queue, "Lost")
    machine["States"]["Wait"] |= {
        "Retry": [{"ErrorEquals": ["States.HeartbeatTimeout"], "IntervalSeconds": 1, "MaxAttempts": 1}],
        "Next": "Rest",
    }
    machine["States"]["Rest"] = {"Type": "Wait", "Seconds": 5, "Next": "End"}
    execution = aws.execution(aws.machine("refused", machine), "one", {})
    client = aws.step_functions

    late, good = queue.taken()["task_token"], queue.taken()["task_token"]
    assert late != good
    with pytest.raises(client.exceptions.TaskTimedOut):
        client.send_task_success(taskToken=late, output="{}")
    client.send_task_success(taskToken=good, output="{}")
    until(lambda: "Rest" in execution.entered())
    with pytest.raises(client.exceptions.TaskTimedOut):
        client.send_task_success(taskToken=good, output="{}")
    with pytest.raises(client.exceptions.TaskTimedOut):
        client.send_task_heartbeat(taskToken=good)
    assert execution.described()["status"] == "RUNNING"


def waiting(queue: Queue, caught: str) -> dict[str, Any]:
    """Return a machine that waits for an answer, and a second for a heartbeat."""
    waits = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "Parameters": {"QueueUrl": queue.url, "MessageBody": {"task_token.$": "$$.Task.Token"}},
        "TimeoutSeconds": 20,
        "HeartbeatSeconds": 1,
        "Next": "End",
        "Catch": [{"ErrorEquals": [caught], "Next": "End"}],
    }
    return {"StartAt": "Wait", "States": {"Wait": waits, "End": {"Type": "Succeed"}}}
