"""The machine, read by a validator of the Amazon States Language that is not ours."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.node import installed, needs_node, said

from counterfoil.workflow import machine

PROOF = Path(__file__).parent / "node"

pytestmark = needs_node


@pytest.fixture(scope="module")
def validator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the validator as the lock file names it."""
    return installed(PROOF, tmp_path_factory.mktemp("asl"))


@pytest.fixture
def definition() -> dict[str, Any]:
    """The machine as it is deployed."""
    whole: dict[str, Any] = json.loads(machine.rendered("https://sqs.eu-central-1.amazonaws.com/123456789012/tasks"))
    return whole


def test_nothing_is_wrong_with_the_machine(validator: Path, definition: dict[str, Any]) -> None:
    """Its states, their fields, where each leads, and every path in them."""
    assert said(validator, definition) == {"isValid": True, "errors": []}


@pytest.mark.parametrize(
    ("state", "change"),
    [
        ("Outcome", {"Default": "Nowhere"}),
        ("RequestPayment", {"TimeoutSecondsPath": "payment_seconds"}),
        ("PaymentFailed", {"Cause": "two causes"}),
        ("WaitBeforeRetry", {"Type": "Sleep"}),
    ],
)
def test_what_is_wrong_with_a_machine_is_seen(
    validator: Path, definition: dict[str, Any], state: str, change: dict[str, Any]
) -> None:
    """A state that is not there, a path that is none, a field too many, a type that nobody knows."""
    definition["States"][state] |= change

    assert said(validator, definition)["isValid"] is False
