"""Every row of the vectors that concerns sockets and settings has its test here, or a reason why not."""

import ast
import json
import re
from pathlib import Path

HERE = Path(__file__).parent
GROUPS = frozenset("JAKHWGR")

ELSEWHERE = {
    "A33": "tests/store/test_views.py::test_totals_are_exact_and_one_for_each_currency",
    "G10": "tests/roles/test_readiness.py::test_a_schema_may_be_newer_but_not_older",
    "G11": "tests/roles/test_readiness.py::test_a_schema_may_be_newer_but_not_older",
    "G18": "tests/roles/webhook_receiver/test_rotation.py::test_pitfall_17_a_secret_is_replaced_without_a_restart",
    "G20": "tests/acceptance/test_doctor.py::test_a_planted_fault_is_found",
    "R08": "tests/journey/test_refund.py::test_the_rest_is_what_is_left_under_the_lock",
    "R12": "tests/journey/test_refund.py::test_what_a_bank_takes_back_is_not_given_back_too",
    "R13": "tests/journey/test_refund.py::test_already_refunded_is_ours_only_if_our_metadata_says_so",
    "R15": "tests/journey/test_refund.py::test_more_than_fifty_parts_are_as_good_as_one",
    "R16": "tests/journey/test_recount.py::test_pitfall_23_a_refund_made_in_the_dashboard_is_adopted",
    "W15": "tests/roles/webhook_receiver/test_deliveries.py::test_an_id_that_comes_again_as_another_event_is_put_aside",
}
"""Rows that another test shows already, with real processes or, what depends on Stripe's part in it, with the steps."""

NEVER = {
    "G15": "there are no such settings: sizes and leases are constants",
    "R02": "one installation serves one merchant: there are no other clients' payments",
    "K19": "one installation serves one merchant: an event id is one payment, whoever brings it",
}


def rows() -> set[str]:
    vectors = json.loads((HERE / "bad_inputs.json").read_text("utf-8"))
    return {row["id"] for row in vectors if row["id"][0] in GROUPS}


def rows_in(source: str) -> set[str]:
    """Return the rows in a module's tables, and those that its tests have in their names."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("Row", "Told", "Misfit"):
            name = node.args[0].value if isinstance(node.args[0], ast.Constant) else ""
            found.add(str(name).partition("-")[0])
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test_"):
            found |= {word.upper() for word in re.findall(r"_([a-z]\d\d)(?=_)", node.name)}
        elif isinstance(node, ast.Dict):
            found |= {str(key.value) for key in node.keys if isinstance(key, ast.Constant)}
    return found


def test_every_row_is_tested_or_says_why_not() -> None:
    """No row of the seven groups is missing from both, none is in both, and nothing is excused that is no row."""
    here = {name for path in HERE.glob("test_*.py") if path != Path(__file__) for name in rows_in(path.read_text())}
    excused = {**ELSEWHERE, **NEVER}
    assert (sorted(rows() - here - set(excused)), sorted(here & set(excused))) == ([], [])
    assert (sorted(set(excused) - rows()), len(excused)) == ([], len(ELSEWHERE) + len(NEVER))


def test_what_is_tested_elsewhere_is() -> None:
    """The tests that stand in for rows are there."""
    root = next(folder for folder in HERE.parents if (folder / "pyproject.toml").exists())
    missing = []
    for row, test in ELSEWHERE.items():
        path, _, name = test.partition("::")
        if not re.search(rf"def {name}\(", (root / path).read_text("utf-8")):
            missing.append(row)
    assert missing == []


def test_a_row_is_seen_in_a_table_and_in_a_name() -> None:
    """As the first argument of a table's entry, as a table's key, and in the name of a test; not in a comment."""
    planted = 'T = [Row("J01", 1), Told("W12-ours", 2)]\nD = {"A12": 1}\ndef test_k16_k17_a_key(): ...  # H02\n'
    assert rows_in(planted) == {"J01", "W12", "A12", "K16", "K17"}
