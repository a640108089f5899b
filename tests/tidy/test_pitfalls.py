"""Thirty known pitfalls, and for each a test that is named after it and told on the page."""

import re
from collections.abc import Mapping

PITFALLS = range(1, 31)
PAGE = "docs/concepts/pitfalls.md"

_TEST = re.compile(r"def (?P<name>test_pitfall_(?P<number>\d\d)_\w+)\(")
_ROW = re.compile(r"^\| (?P<number>\d+) \|(?P<cells>.+)\|$", re.MULTILINE)


def untidy_pitfalls(tree: Mapping[str, str]) -> list[str]:
    """Return what is wrong between the thirty numbers, the tests named after them, and the rows of the page."""
    tests: dict[int, set[str]] = {number: set() for number in PITFALLS}
    found: list[str] = []
    for path, text in tree.items():
        for match in _TEST.finditer(text) if path.startswith("tests/") and path.endswith(".py") else ():
            if int(match["number"]) in tests:
                tests[int(match["number"])].add(f"{path}::{match['name']}")
            else:
                found.append(f"{path}: {match['name']} is of no pitfall")
    rows = {int(match["number"]): match["cells"] for match in _ROW.finditer(tree.get(PAGE, ""))}
    for number, names in tests.items():
        if not names:
            found.append(f"{number}: has no test")
        told = set(re.findall(r"`(tests/[^`]+)`", rows.get(number, "")))
        if number not in rows or told != names:
            found.append(f"{number}: the page tells of {sorted(told)}, and there is {sorted(names)}")
    return found


def test_every_pitfall_has_its_test_and_its_row(tree: Mapping[str, str]) -> None:
    """From 1 to 30; the page names each test, and no other."""
    planted_here = {path: text for path, text in tree.items() if path != "tests/tidy/test_pitfalls.py"}
    assert untidy_pitfalls(planted_here) == []


def test_a_pitfall_without_a_test_or_a_row_is_seen() -> None:
    """One that nothing shows, one that the page leaves out, one too many."""
    tests = "".join(f"def test_pitfall_{number:02}_a() -> None:\n" for number in PITFALLS if number != 3)
    rows = "".join(
        f"| {number} | x | y | {'' if number == 3 else f'`tests/a.py::test_pitfall_{number:02}_a`'} |\n"
        for number in PITFALLS
        if number != 7
    )
    planted = {"tests/a.py": tests + "def test_pitfall_31_b() -> None:\n", PAGE: rows, "src/a.py": "def test_pitfall_3"}
    assert untidy_pitfalls(planted) == [
        "tests/a.py: test_pitfall_31_b is of no pitfall",
        "3: has no test",
        "7: the page tells of [], and there is ['tests/a.py::test_pitfall_07_a']",
    ]
