"""What stands at AWS for the machine: names, the queues' attributes, who may do what. Nothing here asks AWS.

`deploy/step-functions.yaml` says the same to CloudFormation, and a test compares the two.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from counterfoil.domain.effects import MOST_TRIES
from counterfoil.workflow.queue import VISIBILITY_SECONDS

DEFAULT_NAME: Final = "counterfoil"
"""All that is made begins with it, so that two installations may share an account."""

MOST_RECEIVES: Final = MOST_TRIES
"""After so many tries a message is a dead letter; as many as an effect has."""

RETENTION_SECONDS: Final = 1_209_600
"""A fortnight, the longest there is: a worker may be down for that long, and a person on holiday."""

WAIT_SECONDS: Final = 20
"""A receive waits so long for a message, the longest there is, unless it says otherwise: empty answers cost money."""


@dataclass(frozen=True, slots=True)
class Names:
    """What everything is called."""

    name: str = DEFAULT_NAME

    @property
    def queue(self) -> str:
        """The queue of the machine's messages."""
        return f"{self.name}-tasks"

    @property
    def dead_letters(self) -> str:
        """The queue of messages that nobody could work on."""
        return f"{self.name}-tasks-dead"

    @property
    def machine(self) -> str:
        """The state machine."""
        return self.name

    @property
    def role(self) -> str:
        """The role that the machine runs as."""
        return f"{self.name}-machine"

    @property
    def worker_policy(self) -> str:
        """The policy that the worker's own role or user is given."""
        return f"{self.name}-worker"


def dead_letters_attributes() -> dict[str, str]:
    """Return the attributes of the queue of dead letters."""
    return {"MessageRetentionPeriod": str(RETENTION_SECONDS), "SqsManagedSseEnabled": "true"}


def queue_attributes(dead_letters_arn: str) -> dict[str, str]:
    """Return the attributes of the queue, in the words of SQS."""
    redrive = {"deadLetterTargetArn": dead_letters_arn, "maxReceiveCount": MOST_RECEIVES}
    return {
        "VisibilityTimeout": str(VISIBILITY_SECONDS),
        "MessageRetentionPeriod": str(RETENTION_SECONDS),
        "ReceiveMessageWaitTimeSeconds": str(WAIT_SECONDS),
        "SqsManagedSseEnabled": "true",
        "RedrivePolicy": json.dumps(redrive),
    }


def trust(partition: str, region: str, account: str) -> Mapping[str, Any]:
    """Return who may take the machine's role on: Step Functions, for machines of this account in this region."""
    return _policy(
        {
            "Effect": "Allow",
            "Principal": {"Service": "states.amazonaws.com"},
            "Action": "sts:AssumeRole",
            "Condition": {
                "StringEquals": {"aws:SourceAccount": account},
                "ArnLike": {"aws:SourceArn": f"arn:{partition}:states:{region}:{account}:stateMachine:*"},
            },
        }
    )


def machine_policy(queue_arn: str) -> Mapping[str, Any]:
    """Return what the machine may do: put messages on its queue."""
    return _policy({"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": queue_arn})


def worker_policy(queue_arn: str, dead_letters_arn: str) -> Mapping[str, Any]:
    """Return what the worker may do: empty the queue, put aside what it cannot work on, and answer tokens.

    Answers know no resource: AWS takes them for `*` only, since the token itself says whose it is ("Service
    Authorization Reference", AWS Step Functions).
    """
    taking = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"]
    answering = ["states:SendTaskSuccess", "states:SendTaskFailure", "states:SendTaskHeartbeat"]
    return _policy(
        {"Effect": "Allow", "Action": taking, "Resource": queue_arn},
        {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": dead_letters_arn},
        {"Effect": "Allow", "Action": answering, "Resource": "*"},
    )


def _policy(*statements: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}
