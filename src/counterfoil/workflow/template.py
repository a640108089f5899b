"""The CloudFormation template of `deploy/`, with the machine put into it; pure text in, text out."""

import re
from typing import Final

from counterfoil.workflow import machine

_PLACE: Final = re.compile(r"(?<=^      DefinitionString: \|\n)(?: {8}.*\n|\n)*?(?=\nOutputs:\n)", re.MULTILINE)
_INDENT: Final = " " * 8


def template_with_machine(template: str) -> str:
    """Return a template with the machine, as its file has it, in the place of the one it has.

    Raises ValueError where the template has no place for one.
    """
    definition = "".join(f"{_INDENT}{line}\n" for line in machine.text().splitlines())
    whole, found = _PLACE.subn(lambda _: definition, template)
    if found != 1:
        raise ValueError("the template has no place for the machine: a block DefinitionString before Outputs")
    return whole
