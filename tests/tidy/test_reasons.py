"""A rule that is set aside has its reason beside it."""

import io
import re
import tokenize
from collections.abc import Iterator, Mapping

_CODES = r"[A-Z]+[0-9]+(?:[,\s]+[A-Z]+[0-9]+)*"
_RULE_SET_ASIDE = re.compile(
    rf"#\s*(?:(?:ruff:\s*)?noqa(?::\s*{_CODES})?|type:\s*ignore(?:\[[\w,\s-]+\])?|pragma:\s*no\s*cover)(?P<rest>.*)"
)
_IGNORED_IN_SETTINGS = re.compile(r'^\s*"(?P<code>[A-Z]+[0-9]*)",?(?P<rest>.*)$')
_OPENS_A_LIST = re.compile(r'\s*(?:ignore|"[^"]+")\s*=\s*\[\s*"')
_SKIPS = re.compile(r"pytest\.(?:mark\.)?(?:skip|skipif|xfail)\b|pytest\.importorskip")
_LETTERS_OF_A_REASON = 7
_LINES_OF_A_SKIP = 5


def unreasoned(tree: Mapping[str, str]) -> list[str]:
    found: list[str] = []
    for path, text in tree.items():
        if path.endswith(".py"):
            found += [f"{path}:{line} {comment}" for line, comment in _unreasoned_comments(text)]
        elif path == "pyproject.toml":
            found += [f"{path}:{line} {code}" for line, code in _unreasoned_rules(text)]
    return found


def _unreasoned_comments(text: str) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        match = _RULE_SET_ASIDE.search(token.string) if token.type == tokenize.COMMENT else None
        if match and not _is_reason(match["rest"]):
            yield token.start[0], token.string


def _unreasoned_rules(text: str) -> Iterator[tuple[int, str]]:
    inside = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("["):
            inside = line.startswith("[tool.ruff.lint")
        elif inside and _OPENS_A_LIST.match(line):
            yield number, "a rule on the line that opens its list: give each its own line and reason"
        elif inside and (match := _IGNORED_IN_SETTINGS.match(line)) and not _is_reason(match["rest"]):
            yield number, match["code"]


def _is_reason(text: str) -> bool:
    return sum(character.isalpha() for character in text) >= _LETTERS_OF_A_REASON


def unreasoned_skips(tree: Mapping[str, str]) -> list[str]:
    return [
        f"{path}:{number}"
        for path, text in tree.items()
        if path.startswith("tests/") and path.endswith(".py") and not path.startswith("tests/tidy/")
        for number, line in enumerate(text.splitlines(), 1)
        if _SKIPS.search(line)
        and "reason=" not in " ".join(text.splitlines()[number - 1 : number - 1 + _LINES_OF_A_SKIP])
    ]


def test_every_rule_set_aside_has_its_reason_beside_it(tree: Mapping[str, str]) -> None:
    """Comments that silence the linter or the type checker, and the settings' own lists, say why in words."""
    assert unreasoned(tree) == []


def test_every_skipped_test_says_what_it_lacks(tree: Mapping[str, str]) -> None:
    """A test that does not run is a promise not kept; its reason names what the machine lacks."""
    assert unreasoned_skips(tree) == []


def test_a_rule_set_aside_without_a_reason_is_seen() -> None:
    """With codes or without, in code and in the settings; what stands in a string is no comment."""
    planted = {
        "a.py": 'x = 1  # noqa: S101\ny = 2  # type: ignore[misc]\nz = 3  # noqa\ns = "# noqa: S101"\n',
        "b.py": "x = 1  # noqa: S101, E501  it is a table\ny = 2  # type: ignore[misc]  # untyped there\n",
        "pyproject.toml": (
            '[tool.ruff.lint]\nselect = ["ALL"]\nignore = [\n  "D203",  # contradicts D211\n  "D213",\n]\n'
            '[tool.ruff.lint.per-file-ignores]\n"tests/**" = ["S101"]\n[tool.other]\nlist = [\n  "D1",\n]\n'
        ),
    }
    assert [offence.split(" ")[0] for offence in unreasoned(planted)] == [
        "a.py:1",
        "a.py:2",
        "a.py:3",
        "pyproject.toml:5",
        "pyproject.toml:8",
    ]


def test_a_skip_without_a_reason_is_seen() -> None:
    """The reason may stand on one of the next lines."""
    reasoned = "@pytest.mark.skipif(\n    not java,\n    reason='no Java',\n)\n"
    assert unreasoned_skips({"tests/a.py": "pytest.skip()\n" + "\n" * 6 + reasoned}) == ["tests/a.py:1"]
