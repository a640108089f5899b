"""The CloudFormation template and our own command make the same things."""

import json
import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml
from typing_extensions import override

from counterfoil.workflow import machine, resources
from counterfoil.workflow.resources import Names
from counterfoil.workflow.template import template_with_machine

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "deploy/step-functions.yaml"
QUEUE_URL = "https://sqs.eu-central-1.amazonaws.com/123456789012/shop-tasks"
QUEUE_ARN = "arn:aws:sqs:eu-central-1:123456789012:shop-tasks"
DEAD_LETTERS_ARN = "arn:aws:sqs:eu-central-1:123456789012:shop-tasks-dead"
ROLE_ARN = "arn:aws:iam::123456789012:role/shop-machine"

KNOWN = {
    "Name": "shop",
    "AWS::AccountId": "123456789012",
    "AWS::Region": "eu-central-1",
    "AWS::Partition": "aws",
    "Tasks": QUEUE_URL,
    "Tasks.Arn": QUEUE_ARN,
    "DeadLetters.Arn": DEAD_LETTERS_ARN,
    "MachineRole.Arn": ROLE_ARN,
}
"""What CloudFormation knows of a stack named `shop` once it has made each."""


class Rendering(yaml.SafeLoader):
    """Reads a template and does what its functions say."""

    @override
    def construct_object(self, node: Any, deep: bool = False) -> Any:
        if node.tag in ("!Ref", "!GetAtt"):
            return KNOWN.get(node.value, node.value)
        if node.tag == "!Sub":
            return re.sub(r"\$\{([\w:]+)\}", lambda place: KNOWN[place[1]], node.value)
        return super().construct_object(node, deep=True)


@pytest.fixture(scope="module")
def rendered() -> dict[str, Any]:
    """The properties of each resource by its name in the template, as CloudFormation has them."""
    whole = yaml.load(TEMPLATE.read_text("utf-8"), Rendering)  # noqa: S506  a safe loader's child
    return {name: resource["Properties"] for name, resource in whole["Resources"].items()}


def texts(properties: dict[str, Any]) -> dict[str, str]:
    """Return properties of a queue as SQS has them: text, with `true` and JSON in it."""
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in properties.items()}


def test_both_make_the_same_queues(rendered: dict[str, Any]) -> None:
    """Names, waits, retention, encryption, and when a message is a dead letter."""
    names = Names("shop")
    assert texts(rendered["Tasks"]) == {"QueueName": names.queue} | resources.queue_attributes(DEAD_LETTERS_ARN)
    dead = resources.dead_letters_attributes()
    assert texts(rendered["DeadLetters"]) == {"QueueName": names.dead_letters} | dead


def test_both_allow_the_same(rendered: dict[str, Any]) -> None:
    """Who may take the machine's role on, what it may do, and what the worker may."""
    names = Names("shop")
    role, policy = rendered["MachineRole"], rendered["WorkerPolicy"]
    inline = {"PolicyName": "send-tasks", "PolicyDocument": resources.machine_policy(QUEUE_ARN)}
    assert role == {
        "RoleName": names.role,
        "AssumeRolePolicyDocument": resources.trust("aws", "eu-central-1", "123456789012"),
        "Policies": [inline],
    }
    assert policy == {
        "ManagedPolicyName": names.worker_policy,
        "PolicyDocument": resources.worker_policy(QUEUE_ARN, DEAD_LETTERS_ARN),
    }


def test_both_make_the_same_machine(rendered: dict[str, Any]) -> None:
    """Its definition is the same to the letter, once CloudFormation has filled in the queue."""
    made = rendered["Machine"]
    definition = made.pop("DefinitionString")
    for place, value in made.pop("DefinitionSubstitutions").items():
        definition = definition.replace(f"${{{place}}}", value)

    assert definition == machine.rendered(QUEUE_URL)
    assert made == {"StateMachineName": "shop", "StateMachineType": "STANDARD", "RoleArn": ROLE_ARN}


def test_the_template_has_the_machine_of_today() -> None:
    """`make diagram` puts it there."""
    text = TEMPLATE.read_text("utf-8")
    assert template_with_machine(text) == text


def test_a_template_without_a_place_is_not_written() -> None:
    """Nor is one written whose machine would be lost."""
    with pytest.raises(ValueError, match="no place"):
        template_with_machine("Resources: {}\n")


def test_cloudformation_takes_the_template() -> None:
    """As far as cfn-lint knows: its resources, their properties, the policies' actions, and the machine."""
    command = [str(Path(sys.executable).parent / "cfn-lint"), "--regions", "eu-central-1", "--", str(TEMPLATE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_cfn_lint_sees_what_is_wrong(tmp_path: Path) -> None:
    """A property that there is not, and a state that leads nowhere."""
    spoilt = tmp_path / "spoilt.yaml"
    text = TEMPLATE.read_text("utf-8")
    spoilt.write_text(text.replace("VisibilityTimeout", "Visibility").replace('"Type": "Succeed"', '"Type": "Sleep"'))
    command = [str(Path(sys.executable).parent / "cfn-lint"), "--regions", "eu-central-1", "--", str(spoilt)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert "E3002" in done.stdout
    assert "E3601" in done.stdout


def test_answers_know_no_resource() -> None:
    """AWS's own table of actions, as cfn-lint has it: a policy for SendTask… can only name `*`."""
    table = files("cfnlint").joinpath("data/AdditionalSpecs/Policies.json")
    actions = json.loads(table.read_text("utf-8"))["states"]["Actions"]
    for statement in resources.worker_policy(QUEUE_ARN, DEAD_LETTERS_ARN)["Statement"]:
        for action in [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]:
            service, _, name = action.partition(":")
            if service == "states":
                assert "Resources" not in actions[name.lower()]
                assert statement["Resource"] == "*"
            else:
                assert statement["Resource"] in (QUEUE_ARN, DEAD_LETTERS_ARN)
