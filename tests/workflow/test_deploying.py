"""What AWS does and moto does not: new roles are not known everywhere yet, and policies in use stay."""

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from counterfoil.workflow import deploying
from counterfoil.workflow.account import Account
from counterfoil.workflow.deploying import Made, Place
from counterfoil.workflow.resources import Names

ARN = "arn:aws:states:eu-central-1:123456789012:stateMachine:shop"
ROLE = "arn:aws:iam::123456789012:role/shop-machine"
UNKNOWN = (
    "Neither the global service principal states.amazonaws.com, nor the regional one is authorized to assume the "
    f"provided role: {ROLE}"
)


def account() -> tuple[Account, Stubber]:
    """Return an account in which only Step Functions answers, and what it is told to say."""
    session = boto3.Session("test", "test", region_name="eu-central-1")
    client = session.client("stepfunctions")
    stubber = Stubber(client)
    stubber.add_client_error("describe_state_machine", "StateMachineDoesNotExist")
    return Account(session.client("sqs"), client, session.client("iam")), stubber


def test_a_role_that_is_not_known_yet_is_waited_for() -> None:
    """The machine is made as soon as Step Functions may take the role on."""
    at_aws, stubber = account()
    for _ in range(2):
        stubber.add_client_error("create_state_machine", "AccessDeniedException", UNKNOWN)
    made = {"stateMachineArn": ARN, "creationDate": 0}
    stubber.add_response("create_state_machine", made)
    waited: list[float] = []

    with stubber:
        done = deploying._machine(at_aws, ARN, ("{}", ROLE), waited.append)

    stubber.assert_no_pending_responses()
    assert (done, waited) == ("made", [deploying.ROLE_PAUSE_SECONDS] * 2)


@pytest.mark.parametrize(
    ("message", "tries"), [(UNKNOWN, deploying.ROLE_TRIES), ("User: me is not authorized to perform: iam:PassRole", 1)]
)
def test_what_is_refused_for_good_ends(message: str, tries: int) -> None:
    """A role that never comes is waited for half a minute; what the caller may not do is not tried again."""
    at_aws, stubber = account()
    for _ in range(tries):
        stubber.add_client_error("create_state_machine", "AccessDeniedException", message)
    waited: list[float] = []

    with stubber, pytest.raises(ClientError, match="AccessDenied"):
        deploying._machine(at_aws, ARN, ("{}", ROLE), waited.append)

    stubber.assert_no_pending_responses()
    assert len(waited) == tries - 1


def test_a_policy_that_the_worker_still_has_is_left() -> None:
    """It was given by somebody, who has to take it back; the machine's role goes all the same."""
    at_aws, _ = account()
    stubber = Stubber(at_aws.iam)
    stubber.add_client_error("get_role_policy", "NoSuchEntity")
    stubber.add_response("delete_role", {})
    stubber.add_response("list_policy_versions", {"Versions": [{"VersionId": "v1", "IsDefaultVersion": True}]})
    stubber.add_client_error("delete_policy", "DeleteConflict", "Cannot delete a policy attached to entities.")

    with stubber:
        gone = deploying._without_policies(at_aws, Names("shop"), Place("aws", "eu-central-1", "123456789012"))

    stubber.assert_no_pending_responses()
    assert gone == [
        Made("machine's role", "shop-machine", "deleted"),
        Made("worker's policy", "shop-worker", "left"),
    ]
