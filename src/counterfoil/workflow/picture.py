"""The machine as people look at it: drawn from `payment.asl.json`, so that the picture cannot be wrong.

`make diagram` draws it into the page; a test says when the page that is checked in is stale.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from counterfoil.workflow import machine

FIRST: Final = "<!-- Drawn from src/counterfoil/workflow/payment.asl.json by `make diagram`: change that instead. -->"
LAST: Final = "<!-- The end of what is drawn. -->"

_INDENT: Final = "    "
_CHECKS: Final = ("IsPresent", "IsString", "IsNumeric", "IsNull", "IsBoolean")


def page_with_picture(page: str) -> str:
    """Return a page in Markdown with the machine drawn anew between its two marks.

    Raises ValueError where the page has no such marks.
    """
    before, first, rest = page.partition(FIRST)
    _, last, after = rest.partition(LAST)
    if not (first and last):
        raise ValueError(f"the page has no place for the picture: {FIRST} … {LAST}")
    return f"{before}{FIRST}\n\n```mermaid\n{drawing()}\n```\n\n{LAST}{after}"


def drawing(definition: Mapping[str, Any] | None = None) -> str:
    """Return a Mermaid state diagram of the machine: every way from each state, and under which condition."""
    whole = json.loads(machine.text()) if definition is None else definition
    return "\n".join(["stateDiagram-v2", *_drawn(whole, 1)])


def _drawn(branch: Mapping[str, Any], depth: int) -> Iterator[str]:
    pad = _INDENT * depth
    yield f"{pad}[*] --> {branch['StartAt']}"
    for name, state in branch["States"].items():
        if state["Type"] == "Parallel":
            yield f"{pad}state {name} {{"
            for number, inner in enumerate(state["Branches"]):
                if number:
                    yield f"{pad}{_INDENT}--"
                yield from _drawn(inner, depth + 1)
            yield f"{pad}}}"
        for target, label in _ways(name, state):
            yield f"{pad}{name} --> {target}" + (f": {label}" if label else "")


def _ways(name: str, state: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each state that this one leads to, and when."""
    for rule in state.get("Choices", ()):
        yield rule["Next"], _condition(rule)
    if "Default" in state:
        yield state["Default"], "else"
    retried = [error for retry in state.get("Retry", ()) if retry["MaxAttempts"] for error in retry["ErrorEquals"]]
    if retried:
        yield name, f"{', '.join(retried)}, with a new token"
    for caught in state.get("Catch", ()):
        yield caught["Next"], "any other error" if "States.ALL" in caught["ErrorEquals"] else _listed(caught)
    if "Next" in state:
        yield state["Next"], ""
    if state.get("End") or state["Type"] in ("Succeed", "Fail"):
        yield "[*]", ""


def _listed(caught: Mapping[str, Any]) -> str:
    return ", ".join(caught["ErrorEquals"])


def _condition(rule: Mapping[str, Any]) -> str:
    """Return a comparison in words; one that is made of many is told where the page explains it."""
    if "Variable" not in rule:
        return "" if "Or" not in rule else " or ".join(_condition(one) for one in rule["Or"])
    variable = rule["Variable"].removeprefix("$.").rpartition(".")
    (check, value) = next((key, found) for key, found in rule.items() if key not in ("Variable", "Next", "Comment"))
    name = f"{variable[0].rpartition('.')[2]}.{variable[2]}" if variable[0] else variable[2]
    if check in _CHECKS:
        return f"{name} is {'' if value else 'not '}{check.removeprefix('Is').lower().replace('present', 'there')}"
    return f"{name} is {json.dumps(value) if isinstance(value, bool) else value}"
