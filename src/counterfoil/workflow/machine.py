"""The machine that drives a payment: `payment.asl.json`, with what its deployment has to fill in filled in.

The file is the machine, in the Amazon States Language with JSONPath. It has one place to fill, in the form that
CloudFormation's DefinitionSubstitutions know, so that the template and our own command deploy the same text.
"""

from importlib.resources import files
from typing import Final

QUEUE_URL: Final = "QueueUrl"
"""The place that is filled: where the machine sends its messages."""

_PLACE: Final = f"${{{QUEUE_URL}}}"


def text() -> str:
    """Return the file as it is."""
    return files("counterfoil.workflow").joinpath("payment.asl.json").read_text("utf-8")


def rendered(queue_url: str) -> str:
    """Return the machine that sends its messages to that queue."""
    return text().replace(_PLACE, queue_url)
