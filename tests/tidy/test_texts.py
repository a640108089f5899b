"""What lands is finished and belongs to no one machine."""

import re
from collections.abc import Mapping

# Spelt apart, so that this file is not the first offender.
_MARKS = "|".join(["TO" + "DO", "FIX" + "ME", "X" * 3, "HA" + "CK", "NotImplemented" + "Error"])
_WORK_LEFT_OPEN = re.compile(rf"\b(?:{_MARKS})\b")
_MACHINE_PATH = re.compile(r"(?<![\w.:/{}-])/(?:work|root|tmp|home|Users)/[\w.]")
_REGISTRY = re.compile(
    "--(?:extra-)?index" + "-url|--find" + r"-links|https?://[^\s/'\"]*(?:pypi|artifact|nexus|registry|goproxy)"
)


def unfinished_or_of_one_machine(tree: Mapping[str, str]) -> list[str]:
    reasons = {
        _WORK_LEFT_OPEN: "work is left open: finish it, or write it down in the tracker",
        _MACHINE_PATH: "a path of one machine: take it as an argument or a setting",
        _REGISTRY: "the address of a package registry: that is for whoever installs to choose",
    }
    return [
        f"{path}:{number} {reason}"
        for path, text in tree.items()
        for number, line in enumerate(text.splitlines(), 1)
        for pattern, reason in reasons.items()
        if pattern.search(line)
    ]


def test_nothing_is_left_open_and_nothing_is_of_one_machine(tree: Mapping[str, str]) -> None:
    """No mark of open work, no folder of a developer's machine, no address of a package registry, in any file."""
    assert unfinished_or_of_one_machine(tree) == []


def test_open_work_and_machines_are_seen() -> None:
    """Each is found by its line; a route, an ordinary word and a web address with such a folder are none."""
    planted = {
        "a.py": "x = 1  # " + "TO" + "DO: later\nraise NotImplemented" + "Error\n",
        "b.md": "see /ro" + "ot/notes and `/tm" + "p/x`\n",
        "c.lock": "--index" + "-url https://py" + "pi.example/simple\n",
        "d.py": "'/works/orders' 'https://example.com/home/x' 'todos' 'POST /charge'\n",
    }
    assert [offence.split(" ")[0] for offence in unfinished_or_of_one_machine(planted)] == [
        "a.py:1",
        "a.py:2",
        "b.md:1",
        "c.lock:1",
    ]
