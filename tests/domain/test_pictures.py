from pathlib import Path

from counterfoil.domain.pictures import attempt_diagram, moves_table, rules_table, states_page
from counterfoil.domain.states import ATTEMPT_MOVES, PAYMENT_RULES, AttemptHappening, AttemptState, Ignored

PAGE = (Path(__file__).parents[2] / "docs" / "concepts" / "states.md").read_text("utf-8")
LATE_SUCCESS = (AttemptState.DECLINED, AttemptHappening.CAPTURED)


def test_the_page_is_what_the_tables_draw() -> None:
    """The page that is checked in is stale as soon as a table has changed: `make diagram` draws it anew."""
    assert states_page() == PAGE


def test_a_move_that_changes_makes_the_page_stale() -> None:
    """Were the late success ignored, the arrow, the cell and the reason would all be others."""
    changed = {**ATTEMPT_MOVES, LATE_SUCCESS: Ignored("planted, to be seen")}

    drawn = states_page(moves=changed)

    assert "declined --> captured: captured" in attempt_diagram()
    assert "declined --> captured: captured" not in attempt_diagram(changed)
    assert moves_table(changed) != moves_table()
    assert drawn.count("planted, to be seen") == 1
    assert drawn != PAGE


def test_a_pair_that_goes_missing_makes_the_page_stale() -> None:
    """What is in no row is drawn as impossible, and not left blank."""
    fewer = {pair: after for pair, after in ATTEMPT_MOVES.items() if pair != LATE_SUCCESS}

    assert moves_table().count("✗") + 1 == moves_table(fewer).count("✗")
    assert states_page(moves=fewer) != PAGE


def test_the_order_of_the_rules_makes_the_page_stale() -> None:
    """The first match wins, so two rules that change places are another machine."""
    first, second, *others = PAYMENT_RULES

    swapped = states_page(rules=(second, first, *others))

    assert rules_table().startswith("| 1 | any attempt captured | `succeeded` | PaymentSucceeded | yes |  |")
    assert swapped != PAGE
