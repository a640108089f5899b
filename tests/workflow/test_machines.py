"""What Step Functions says to an answer, and what that means for the token."""

import asyncio
import json

import boto3
import pytest
from botocore.stub import Stubber
from tests.aws import Aws
from tests.driving import Sleeper, machines

from counterfoil.domain.driving import Reception, Told
from counterfoil.messages.task_answer import Answer
from counterfoil.runtime.secret import Secret
from counterfoil.workflow.machines import LONGEST_CAUSE, Machines
from counterfoil.workflow.sdk import Threads


@pytest.mark.parametrize(
    ("code", "reception"),
    [
        ("TaskTimedOut", Reception.DEAD),
        ("InvalidToken", Reception.DEAD),
        ("TaskDoesNotExist", Reception.DEAD),
        ("InvalidOutput", Reception.REFUSED),
        ("ValidationException", Reception.REFUSED),
        ("ThrottlingException", Reception.FAILED),
        ("AccessDeniedException", Reception.FAILED),
        ("InternalServerError", Reception.FAILED),
        ("ExpiredTokenException", Reception.FAILED),  # ours for AWS, not the task's
    ],
)
async def test_every_refusal_means_one_thing(code: str, reception: Reception) -> None:
    """Nobody waits for the token, or the same would be refused again, or it may be said again."""
    client = boto3.Session(aws_access_key_id="a", aws_secret_access_key="b", region_name="eu-central-1").client(
        "stepfunctions"
    )
    with Stubber(client) as says:
        for call in ("send_task_success", "send_task_failure", "send_task_heartbeat"):
            says.add_client_error(call, service_error_code=code)
        way = Machines(client, Threads())
        told = [
            await way.answer(Secret("token"), Answer({})),
            await way.answer(Secret("token"), Answer({}, "PaymentDeclined")),
            await way.heartbeat(Secret("token")),
        ]
    assert [one.reception for one in told] == [reception] * 3
    assert all("token-1" not in str(one.reason) for one in told)


async def test_a_machine_is_told_the_error_and_the_whole_cause(aws: Aws) -> None:
    """In JSON that it can read, as it is written."""
    sleeper = await asyncio.to_thread(Sleeper.begun, aws)
    cause = {"detail": "zu wenig Geld: 12 €", "retry_allowed": False}
    told = await machines(aws).answer(sleeper.token, Answer(cause, "PaymentDeclined"))
    ended = await sleeper.execution.ends()
    assert told == Told(Reception.TAKEN)
    assert (ended["error"], json.loads(ended["cause"])) == ("PaymentDeclined", cause)
    assert len(json.dumps(cause)) < LONGEST_CAUSE
