"""A name says what a thing is for; some names only say that nobody knew."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

INSTEAD = {
    "util": "the noun it works on: money, retry, clock",
    "common": "the layer it belongs to, by the six questions of CONTRIBUTING.md",
    "helper": "the verb it helps with, or the module that needs it",
    "misc": "as many modules as it has things",
    "base": "what all of its kind have in common",
    "core": "what it decides",
    "manager": "what it does: owns, starts, counts",
    "service": "the role or the step",
    "handler": "the message or the route",
    "data": "what the values mean",
    "info": "what the values mean",
}
_BANNED = {form: name for name in INSTEAD for form in (name, f"{name}s")}
_WORDS_OF_A_CLASS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+")


def names_that_say_nothing(tree: Mapping[str, str]) -> list[str]:
    return [offence for path, text in tree.items() for offence in (*_of_path(path), *_of_classes(path, text))]


def _of_path(path: str) -> Iterator[str]:
    pure = PurePosixPath(path)
    for part in [*pure.parts[:-1], pure.stem]:
        yield from _judge(path, part, part.lower().replace("-", "_").split("_")[-1])


def _of_classes(path: str, text: str) -> Iterator[str]:
    if path.endswith(".py"):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ClassDef):
                words = _WORDS_OF_A_CLASS.findall(node.name)
                yield from _judge(f"{path}:{node.lineno}", node.name, words[-1].lower() if words else "")


def _judge(where: str, name: str, last_word: str) -> Iterator[str]:
    if last_word in _BANNED:
        yield f"{where} {name}: say {INSTEAD[_BANNED[last_word]]}"


def test_no_file_folder_or_class_has_a_name_that_says_nothing(tree: Mapping[str, str]) -> None:
    """Utils, helpers, managers and their kin are refused, each with what to say instead."""
    assert names_that_say_nothing(tree) == []


def test_a_name_that_says_nothing_is_seen() -> None:
    """In a file, a folder and a class, alone or as the last word; in the middle it says something."""
    planted = {
        "src/counterfoil/utils.py": "",
        "src/counterfoil/helpers/money.py": "",
        "src/counterfoil/payment_service.py": "",
        "src/counterfoil/fine.py": "class EventHandler: ...\nclass CardDataNotAccepted: ...\nclass Base: ...\n",
        "docs/info.md": "",
        "docs/database.md": "",
    }
    assert [offence.split(": say ")[0] for offence in names_that_say_nothing(planted)] == [
        "src/counterfoil/utils.py utils",
        "src/counterfoil/helpers/money.py helpers",
        "src/counterfoil/payment_service.py payment_service",
        "src/counterfoil/fine.py:1 EventHandler",
        "src/counterfoil/fine.py:3 Base",
        "docs/info.md info",
    ]
