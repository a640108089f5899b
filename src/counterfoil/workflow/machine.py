"""The machine that drives a payment: `payment.asl.json`, with what its deployment has to fill in filled in.

The file is the machine, in the Amazon States Language with JSONPath. It has two places to fill, in the form that
CloudFormation's DefinitionSubstitutions know, so that the template and our own command deploy the same text.
"""

import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Final

QUEUE_URL: Final = "QueueUrl"
PARTITION: Final = "Partition"
"""`aws`, but in China and in the regions of the US government."""

_PLACE: Final = re.compile(r"\$\{(\w+)\}")


def text() -> str:
    """Return the file as it is."""
    return files("counterfoil.workflow").joinpath("payment.asl.json").read_text("utf-8")


def rendered(queue_url: str, partition: str = "aws") -> str:
    """Return the machine that sends its messages to that queue."""
    return substituted(text(), {QUEUE_URL: queue_url, PARTITION: partition})


def substituted(definition: str, values: Mapping[str, str]) -> str:
    """Fill each place, as CloudFormation does. Raises KeyError for a place that has no value."""
    return _PLACE.sub(lambda place: values[place[1]], definition)
