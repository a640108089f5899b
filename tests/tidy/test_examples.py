"""The shop is copied: it stands on what it says it stands on, and its page shows the way through it."""

import ast
import sys
from collections.abc import Iterator, Mapping

STANDS_ON = {"asyncpg", "confluent_kafka", "fastapi", "pydantic", "uvicorn"}
SHOP = "examples/shop/"


def strange_imports(tree: Mapping[str, str]) -> list[str]:
    """What the shop imports that is neither Python's, nor its own, nor one of the five it stands on."""
    allowed = STANDS_ON | set(sys.stdlib_module_names)
    return [
        f"{path}: {name}"
        for path, text in tree.items()
        if path.startswith(SHOP) and path.endswith(".py")
        for name in _imported(ast.parse(text))
        if name.partition(".")[0] not in allowed and not f"{name}.".startswith("examples.shop.")
    ]


def _imported(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "." * node.level


def untold_files(tree: Mapping[str, str]) -> list[str]:
    """Files of the shop that its page does not name; `__init__.py` says nothing that a reader needs."""
    page = tree.get(f"{SHOP}README.md", "")
    names = [path.removeprefix(SHOP) for path in tree if path.startswith(SHOP)]
    return [name for name in names if name not in {"README.md", "__init__.py"} and f"`{name}`" not in page]


def test_the_shop_stands_on_five_packages(tree: Mapping[str, str]) -> None:
    """A team that copies the shop needs FastAPI, uvicorn, asyncpg, confluent-kafka and pydantic, and no more."""
    assert strange_imports(tree) == []


def test_every_file_of_the_shop_is_told(tree: Mapping[str, str]) -> None:
    """Its page says what each is for."""
    assert untold_files(tree) == []


def test_a_strange_import_and_an_untold_file_are_seen() -> None:
    """Ours, another package, another example, a relative one; what is Python's, or the shop's own, passes."""
    planted = {
        f"{SHOP}a.py": (
            "import json\nimport httpx\nfrom counterfoil.domain import money\nfrom . import b\nimport examples.shops\n"
        ),
        f"{SHOP}b.py": "from asyncpg.pool import Pool\nfrom examples.shop import a\n",
        f"{SHOP}README.md": "| `a.py` | one |\n",
        "src/counterfoil/c.py": "import httpx\n",
    }
    strange = ("httpx", "counterfoil.domain", ".", "examples.shops")
    assert strange_imports(planted) == [f"{SHOP}a.py: {name}" for name in strange]
    assert untold_files(planted) == ["b.py"]
