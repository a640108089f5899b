"""A reader is told what everything is for."""

import ast
from collections.abc import Iterator, Mapping

Described = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def silent(tree: Mapping[str, str]) -> list[str]:
    return [offence for path, text in tree.items() if path.endswith(".py") for offence in _silent(path, text)]


def _silent(path: str, text: str) -> Iterator[str]:
    module = ast.parse(text)
    if path.startswith(("src/", "examples/")):
        for where, node in [("the module", module), *_public(module, "")]:
            if not ast.get_docstring(node):
                yield f"{path}: {where} says nothing"
    elif path.startswith("tests/"):
        for found in ast.walk(module):
            if isinstance(found, (ast.FunctionDef, ast.AsyncFunctionDef)) and found.name.startswith("test_"):
                yield from _claim(path, found)


def _public(parent: ast.Module | ast.ClassDef, prefix: str) -> Iterator[tuple[str, Described]]:
    for node in parent.body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and not node.name.startswith("_"):
            decorators = [ast.unparse(decorator) for decorator in node.decorator_list]
            if not any(decorator.endswith(("override", "overload")) for decorator in decorators):
                yield prefix + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from _public(node, f"{prefix}{node.name}.")


def _claim(path: str, node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    claim = ast.get_docstring(node) or ""
    if not claim.partition("\n")[0].endswith((".", "?", "!")):
        yield f"{path}: {node.name} does not state its claim in a sentence"


def test_everything_public_says_what_it_is_for_and_every_test_its_claim(tree: Mapping[str, str]) -> None:
    """Modules, public classes and functions of source and examples, and every test, open with a docstring."""
    assert silent(tree) == []


def test_silence_is_seen() -> None:
    """In a module, a class, a method and a test; what is private or overrides may be silent."""
    planted = {
        "src/counterfoil/a.py": "class Loud:\n    '''Says.'''\n    def quiet(self): ...\n    def _own(self): ...\n",
        "src/counterfoil/b.py": "'''Says.'''\n@override\ndef same(): ...\nasync def quiet(): ...\nclass Mute: ...",
        "examples/a.py": "def quiet(): ...\n",
        "tests/a.py": "def arrange(): ...\ndef test_quiet(): ...\ndef test_mumbles():\n    '''no sentence'''\n",
        "tests/b.py": "class TestGroup:\n    def test_quiet(self): ...\n    def test_a(self):\n        '''Says.'''\n",
    }
    assert silent(planted) == [
        "src/counterfoil/a.py: the module says nothing",
        "src/counterfoil/a.py: Loud.quiet says nothing",
        "src/counterfoil/b.py: quiet says nothing",
        "src/counterfoil/b.py: Mute says nothing",
        "examples/a.py: the module says nothing",
        "examples/a.py: quiet says nothing",
        "tests/a.py: test_quiet does not state its claim in a sentence",
        "tests/a.py: test_mumbles does not state its claim in a sentence",
        "tests/b.py: test_quiet does not state its claim in a sentence",
    ]
