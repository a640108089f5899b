"""Every package says what it is for."""

import ast
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src"


def test_every_package_says_what_it_is_for() -> None:
    """A folder that holds code opens with a docstring, so that a reader knows where they are."""
    silent = [
        str(init.relative_to(SOURCE))
        for init in sorted(SOURCE.rglob("__init__.py"))
        if not ast.get_docstring(ast.parse(init.read_text()))
    ]
    assert silent == []
