"""The machine, its queues, role and policies are made at AWS, brought up to date, and taken away again.

Everything is found by its name, so that deploying twice makes nothing twice, and a deployment that broke off goes on.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

from counterfoil.domain.errors import NotFound
from counterfoil.workflow import machine, resources
from counterfoil.workflow.account import Account
from counterfoil.workflow.resources import Names

ROLE_TRIES: Final = 15
ROLE_PAUSE_SECONDS: Final = 2.0
"""A role that was made a moment ago is not known everywhere at once; half a minute is far more than it takes."""

MOST_POLICY_VERSIONS: Final = 5
"""What IAM keeps of a managed policy; the oldest has to go before another comes ("IAM and AWS STS quotas")."""

INLINE: Final = "send-tasks"
"""The name of the policy within the machine's role."""

_QUEUE_IS_NOT_THERE: Final = ("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue")


@dataclass(frozen=True, slots=True)
class Made:
    """One thing at AWS, and what was done about it: made, updated, unchanged, deleted or left."""

    what: str
    name: str
    done: str


@dataclass(frozen=True, slots=True)
class Deployment:
    """What stands at AWS now; `role_policy` and `worker_policy` are documents of IAM."""

    machine_arn: str
    queue_url: str
    dead_letters_url: str
    role_arn: str
    role_policy: Mapping[str, Any]
    worker_policy: Mapping[str, Any]
    worker_policy_arn: str | None
    made: tuple[Made, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where things are, as the ARN of a queue says."""

    partition: str
    region: str
    account: str

    @classmethod
    def of(cls, arn: str) -> "Place":
        """Return where this is."""
        _, partition, _, region, account = arn.split(":")[:5]
        return cls(partition, region, account)

    def machine(self, names: Names) -> str:
        """Return the ARN of the machine."""
        return f"arn:{self.partition}:states:{self.region}:{self.account}:stateMachine:{names.machine}"

    def worker_policy(self, names: Names) -> str:
        """Return the ARN of the worker's policy."""
        return f"arn:{self.partition}:iam::{self.account}:policy/{names.worker_policy}"


def deploy(
    account: Account, names: Names, *, role_arn: str | None = None, sleep: Callable[[float], None] = time.sleep
) -> Deployment:
    """Make what is missing and bring the rest up to date.

    Args:
        account: where.
        names: what it is called.
        role_arn: a role that somebody else has made for the machine; then IAM is left alone then.
        sleep: waits so many seconds for a new role to be known.

    Raises:
        AwsRefused, Unavailable, Misconfigured: as `account.opened` says.
    """
    made: list[Made] = []
    dead_url, dead_arn = _queue(account, names.dead_letters, resources.dead_letters_attributes(), made)
    queue_url, queue_arn = _queue(account, names.queue, resources.queue_attributes(dead_arn), made)
    place = Place.of(queue_arn)
    for_machine = resources.machine_policy(queue_arn)
    for_worker = resources.worker_policy(queue_arn, dead_arn)
    policy_arn: str | None = None
    role = role_arn
    if role is None:
        role = _role(account, names, resources.trust(place.partition, place.region, place.account), for_machine, made)
        policy_arn = place.worker_policy(names)
        made.append(
            Made("worker's policy", names.worker_policy, _worker_policy(account, names, policy_arn, for_worker))
        )
    definition = machine.rendered(queue_url)
    machine_arn = place.machine(names)
    made.append(Made("machine", names.machine, _machine(account, machine_arn, (definition, role), sleep)))
    return Deployment(machine_arn, queue_url, dead_url, role, for_machine, for_worker, policy_arn, tuple(made))


def destroy(account: Account, names: Names) -> tuple[Made, ...]:
    """Take away whatever of it is there; AWS ends executions that run at their next state.

    A policy that the worker still has is left. Raises as `deploy` does.
    """
    gone: list[Made] = []
    queue_url = queue_named(account, names.queue)
    dead_url = queue_named(account, names.dead_letters)
    either = queue_url or dead_url
    if either is not None:
        place = Place.of(_attributes(account, either)["QueueArn"])
        if _described(account, place.machine(names)) is not None:
            account.step_functions.delete_state_machine(stateMachineArn=place.machine(names))
            gone.append(Made("machine", names.machine, "deleted"))
        gone += _without_policies(account, names, place)
    for url, name, what in ((queue_url, names.queue, "queue"), (dead_url, names.dead_letters, "queue of dead letters")):
        if url is not None:
            account.sqs.delete_queue(QueueUrl=url)
            gone.append(Made(what, name, "deleted"))
    return tuple(gone)


def machine_arn(account: Account, names: Names) -> str:
    """Return the ARN of a machine that was deployed. Raises NotFound where nothing of that name was."""
    url = queue_named(account, names.queue)
    if url is None:
        raise NotFound(f"machine: counterfoil step-functions deploy --name {names.name}")
    return Place.of(_attributes(account, url)["QueueArn"]).machine(names)


def waiting(account: Account, names: Names) -> Mapping[str, int]:
    """Return how many messages are on the queue, in a worker's hand, and dead; nothing of a queue that is not there."""
    found: dict[str, int] = {}
    queue_url, dead_url = queue_named(account, names.queue), queue_named(account, names.dead_letters)
    if queue_url is not None:
        about = _attributes(account, queue_url)
        found["waiting"] = int(about["ApproximateNumberOfMessages"])
        found["in_hand"] = int(about["ApproximateNumberOfMessagesNotVisible"])
    if dead_url is not None:
        found["dead_letters"] = int(_attributes(account, dead_url)["ApproximateNumberOfMessages"])
    return found


def queue_named(account: Account, name: str) -> str | None:
    """Return the URL of a queue, or None where there is none of that name."""
    try:
        return account.sqs.get_queue_url(QueueName=name)["QueueUrl"]
    except account.sqs.exceptions.ClientError as refusal:
        if _code(refusal) in _QUEUE_IS_NOT_THERE:
            return None
        raise


def _queue(account: Account, name: str, wanted: dict[str, str], made: list[Made]) -> tuple[str, str]:
    url, done = queue_named(account, name), "unchanged"
    if url is None:
        attributes: Any = wanted
        url, done = account.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"], "made"
    has = _attributes(account, url)
    if any(not _same(has.get(key), value) for key, value in wanted.items()):
        account.sqs.set_queue_attributes(QueueUrl=url, Attributes=wanted)  # type: ignore[arg-type]  # keys are literals
        done = "updated"
    made.append(Made("queue", name, done))
    return url, has["QueueArn"]


def _attributes(account: Account, url: str) -> Mapping[str, str]:
    found: Any = account.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return dict(found)


def _same(has: str | None, wanted: str) -> bool:
    """Return whether an attribute is as it should be, however its JSON is written."""
    if has is None or not wanted.startswith("{"):
        return has == wanted
    return {name: str(value) for name, value in json.loads(has).items()} == {
        name: str(value) for name, value in json.loads(wanted).items()
    }


def _role(account: Account, names: Names, trust: Mapping[str, Any], policy: Mapping[str, Any], made: list[Made]) -> str:
    iam, done = account.iam, "unchanged"
    try:
        role = iam.get_role(RoleName=names.role)["Role"]
        if _document(role.get("AssumeRolePolicyDocument")) != trust:
            iam.update_assume_role_policy(RoleName=names.role, PolicyDocument=json.dumps(trust))
            done = "updated"
    except iam.exceptions.NoSuchEntityException:
        role = iam.create_role(RoleName=names.role, AssumeRolePolicyDocument=json.dumps(trust))["Role"]
        done = "made"
    if _inline(account, names) != policy:
        iam.put_role_policy(RoleName=names.role, PolicyName=INLINE, PolicyDocument=json.dumps(policy))
        done = "made" if done == "made" else "updated"
    made.append(Made("machine's role", names.role, done))
    return role["Arn"]


def _inline(account: Account, names: Names) -> Mapping[str, Any] | None:
    try:
        found = account.iam.get_role_policy(RoleName=names.role, PolicyName=INLINE)["PolicyDocument"]
    except account.iam.exceptions.NoSuchEntityException:
        return None
    return _document(found)


def _worker_policy(account: Account, names: Names, arn: str, wanted: Mapping[str, Any]) -> str:
    iam = account.iam
    try:
        current = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    except iam.exceptions.NoSuchEntityException:
        iam.create_policy(PolicyName=names.worker_policy, PolicyDocument=json.dumps(wanted))
        return "made"
    version = iam.get_policy_version(PolicyArn=arn, VersionId=current)["PolicyVersion"]
    if _document(version.get("Document")) == wanted:
        return "unchanged"
    others = [one for one in iam.list_policy_versions(PolicyArn=arn)["Versions"] if not one["IsDefaultVersion"]]
    if len(others) + 1 >= MOST_POLICY_VERSIONS:
        oldest = min(others, key=lambda one: one["CreateDate"])
        iam.delete_policy_version(PolicyArn=arn, VersionId=oldest["VersionId"])
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=json.dumps(wanted), SetAsDefault=True)
    return "updated"


def _machine(account: Account, arn: str, wanted: tuple[str, str], sleep: Callable[[float], None]) -> str:
    definition, role = wanted
    client, found = account.step_functions, _described(account, arn)
    if found is not None and (found["definition"], found["roleArn"]) == wanted:
        return "unchanged"

    def put() -> None:
        if found is None:
            name = arn.rpartition(":")[2]
            client.create_state_machine(name=name, definition=definition, roleArn=role, type="STANDARD")
        else:
            client.update_state_machine(stateMachineArn=arn, definition=definition, roleArn=role)

    for tries_left in reversed(range(ROLE_TRIES)):
        try:
            put()
            break
        except client.exceptions.ClientError as refusal:
            if _code(refusal) != "AccessDeniedException" or "assume" not in str(refusal) or not tries_left:
                raise
            sleep(ROLE_PAUSE_SECONDS)
    return "made" if found is None else "updated"


def _described(account: Account, arn: str) -> Mapping[str, Any] | None:
    try:
        return dict(account.step_functions.describe_state_machine(stateMachineArn=arn))
    except account.step_functions.exceptions.StateMachineDoesNotExist:
        return None


def _without_policies(account: Account, names: Names, place: Place) -> list[Made]:
    gone: list[Made] = []
    iam = account.iam
    try:
        if _inline(account, names) is not None:
            iam.delete_role_policy(RoleName=names.role, PolicyName=INLINE)
        iam.delete_role(RoleName=names.role)
        gone.append(Made("machine's role", names.role, "deleted"))
    except iam.exceptions.NoSuchEntityException:
        pass
    arn = place.worker_policy(names)
    try:
        for version in iam.list_policy_versions(PolicyArn=arn)["Versions"]:
            if not version["IsDefaultVersion"]:
                iam.delete_policy_version(PolicyArn=arn, VersionId=version["VersionId"])
        iam.delete_policy(PolicyArn=arn)
        gone.append(Made("worker's policy", names.worker_policy, "deleted"))
    except iam.exceptions.DeleteConflictException:  # whoever gave it to the worker takes it from it
        gone.append(Made("worker's policy", names.worker_policy, "left"))
    except iam.exceptions.NoSuchEntityException:
        pass
    return gone


def _document(found: Any) -> Mapping[str, Any]:
    """Return a policy as IAM gives it: boto3 has read it already, unless it came as text, which is percent-encoded."""
    document: Mapping[str, Any] = json.loads(unquote(found)) if isinstance(found, str) else found or {}
    return document


def _code(refusal: Any) -> str:
    return str(refusal.response.get("Error", {}).get("Code") or "").rpartition("#")[2]
