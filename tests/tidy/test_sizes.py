"""Code is read in sittings: what is longer than one hides an idea that has no name yet."""

import ast
from collections.abc import Iterator, Mapping

LINES_OF_A_MODULE = 500
LINES_OF_A_STEP = 200
LINES_OF_A_FUNCTION = 70


def too_long(tree: Mapping[str, str]) -> list[str]:
    return [offence for path, text in tree.items() if path.endswith(".py") for offence in _too_long(path, text)]


def _too_long(path: str, text: str) -> Iterator[str]:
    limit = LINES_OF_A_STEP if path.startswith("src/counterfoil/journey/") else LINES_OF_A_MODULE
    lines = len(text.splitlines())
    if lines > limit:
        yield f"{path} has {lines} lines, the limit is {limit}"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > LINES_OF_A_FUNCTION:
                yield f"{path}:{node.lineno} {node.name} has {lines} lines, the limit is {LINES_OF_A_FUNCTION}"


def test_no_module_step_or_function_is_too_long(tree: Mapping[str, str]) -> None:
    """Modules end within 500 lines, steps of the journey within 200, functions within 70; tests are code as well."""
    assert too_long(tree) == []


def test_one_line_too_many_is_seen() -> None:
    """The limits are inclusive, and a step is held to its own."""
    body = "    pass\n"
    planted = {
        "src/counterfoil/full.py": "x = 1\n" * 500,
        "src/counterfoil/over.py": "x = 1\n" * 501,
        "src/counterfoil/journey/accept.py": "x = 1\n" * 201,
        "src/counterfoil/long.py": "def fits():\n" + body * 69 + "async def grows():\n" + body * 70,
        "docs/long.md": "word\n" * 501,
    }
    assert too_long(planted) == [
        "src/counterfoil/over.py has 501 lines, the limit is 500",
        "src/counterfoil/journey/accept.py has 201 lines, the limit is 200",
        "src/counterfoil/long.py:71 grows has 71 lines, the limit is 70",
    ]
