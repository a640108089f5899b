"""The picture of the machine is drawn from its file, and shows every way there is."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from counterfoil.workflow import machine
from counterfoil.workflow.picture import drawing, page_with_picture

PAGE = Path(__file__).parents[2] / "docs/step-functions.md"


@pytest.fixture
def definition() -> dict[str, Any]:
    whole: dict[str, Any] = json.loads(machine.text())
    return whole


def ways(branch: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each pair of states of which one leads to the other, branches of a Parallel included."""
    for name, state in branch["States"].items():
        for key in ("Next", "Default"):
            if key in state:
                yield name, state[key]
        for way in (*state.get("Choices", ()), *state.get("Catch", ())):
            yield name, way["Next"]
        for inner in state.get("Branches", ()):
            yield from ways(inner)


def test_the_page_has_the_machine_of_today() -> None:
    """The picture that is checked in is stale as soon as the file has changed: `make diagram` draws it anew."""
    page = PAGE.read_text("utf-8")
    assert page_with_picture(page) == page


def test_every_way_of_the_machine_is_drawn(definition: dict[str, Any]) -> None:
    """Each Next, Default, Choice and Catch is an arrow, those inside the Parallel too; nothing else leads anywhere."""
    arrows = {tuple(line.strip().partition(":")[0].split(" --> ")) for line in drawing().splitlines() if "-->" in line}
    between = {(start, end) for start, end in arrows if start != end and "[*]" not in (start, end)}
    assert between == set(ways(definition))


def test_another_machine_is_another_picture(definition: dict[str, Any]) -> None:
    """A state that leads elsewhere, another error caught, a state that is retried no more."""
    changed = copy.deepcopy(definition)
    changed["States"]["WaitBeforeRetry"]["Next"] = "PaymentFailed"
    changed["States"]["RequestPayment"]["Catch"][0]["ErrorEquals"] = ["Declined"]
    changed["States"]["NotifyCustomer"]["Retry"] = []

    drawn = drawing(changed)

    assert "WaitBeforeRetry --> PaymentFailed" in drawn
    assert "RequestPayment --> ReadDecline: Declined" in drawn
    assert "NotifyCustomer --> NotifyCustomer" not in drawn
    assert "NotifyCustomer --> NotifyCustomer" in drawing()


def test_a_page_without_a_place_is_not_written() -> None:
    """Nor is one written that has lost what stood on it."""
    with pytest.raises(ValueError, match="no place"):
        page_with_picture("# A page\n")


def test_the_page_tells_the_defaults_and_the_ends_that_the_file_has(definition: dict[str, Any]) -> None:
    """Each timeout with both its defaults, each state that ends the execution with its error."""
    page = PAGE.read_text("utf-8")
    card, others = (
        definition["States"][name]["Parameters"]["timeouts"] for name in ("TimeoutsOfCards", "TimeoutsOfDelayedMethods")
    )
    rows = rows_of(page.partition("## Timeouts")[2].partition("## ")[0])
    for name in card:
        row = rows[f"`{name}`"]
        assert [cell.split()[0] for cell in row[2:4]] == [str(card[name]), str(others[name])]
    told = rows_of(page.partition("## Ends")[2].partition("## ")[0])
    ends = {name for name, state in definition["States"].items() if state["Type"] in ("Succeed", "Fail")}
    assert {name.strip("`") for row in told for name in row.split(", ")} == ends
    for states, cells in told.items():
        for name in states.split(", "):
            error = definition["States"][name.strip("`")].get("Error")
            assert error is None or cells[2].strip() == f"`{error}`"


def rows_of(section: str) -> dict[str, list[str]]:
    """Return the cells of each row of the section's table by what stands first in it."""
    return {line.split("|")[1].strip(): line.split("|") for line in section.splitlines() if line.startswith("| `")}
