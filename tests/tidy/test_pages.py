"""The pages are part of the product: they exist, they lead somewhere, and they agree with the code."""

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping

from counterfoil.config import SETTINGS

MUST_EXIST = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/decisions/README.md")
MUST_SAY = ("Context", "Decision", "Refused", "Shown by")
DECISIONS = "docs/decisions/"
_LINK = re.compile(r"\[[^\]\n]*\]\((?P<target>[^)\s]+)\)")
_CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+\s+(?P<title>.+?)\s*$", re.MULTILINE)
_NUMBERED = re.compile(r"docs/decisions/(?P<number>\d{4})-[a-z0-9-]+\.md")
_TABLE_OF_SETTINGS = re.compile(r"^\|\s*Setting\s*\|.*\n\|[-| :]+\|\n(?P<rows>(?:\|.*\n?)+)", re.MULTILINE)
_FIRST_CELL_NAME = re.compile(r"^\|\s*`(?P<name>[A-Z][A-Z0-9_]+)`", re.MULTILINE)


def missing_pages(tree: Mapping[str, str]) -> list[str]:
    return [page for page in MUST_EXIST if not tree.get(page, "").strip()]


def dead_links(tree: Mapping[str, str]) -> list[str]:
    return [
        f"{path}: {target}"
        for path, text in tree.items()
        if path.endswith(".md")
        for target in (match["target"] for match in _LINK.finditer(_CODE.sub("", text)))
        if not target.startswith(("https://", "http://", "mailto:")) and not _leads_somewhere(path, target, tree)
    ]


def _leads_somewhere(path: str, target: str, tree: Mapping[str, str]) -> bool:
    file, _, anchor = target.partition("#")
    page = posixpath.normpath(posixpath.join(posixpath.dirname(path), file)) if file else path
    is_folder = any(other.startswith(f"{page}/") for other in tree)
    if page not in tree:
        return is_folder and not anchor
    return not anchor or anchor in {_anchor(match["title"]) for match in _HEADING.finditer(tree[page])}


def _anchor(title: str) -> str:
    """What GitHub makes of a heading: lower case, punctuation dropped, dashes for spaces."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def untidy_decisions(tree: Mapping[str, str]) -> list[str]:
    pages = [path for path in tree if path.startswith(DECISIONS) and path != f"{DECISIONS}README.md"]
    found = [f"{path}: is not named like 0001-what-was-decided.md" for path in pages if not _NUMBERED.fullmatch(path)]
    numbers = [int(match["number"]) for match in map(_NUMBERED.fullmatch, pages) if match]
    if sorted(numbers) != list(range(1, len(numbers) + 1)):
        found.append(f"the numbers {sorted(numbers)} have a gap or a double")
    for path in pages:
        found += [f"{path}: says nothing under {title}" for title in MUST_SAY if not _section(tree[path], title)]
        if f"({path.removeprefix(DECISIONS)})" not in tree.get(f"{DECISIONS}README.md", ""):
            found.append(f"{path}: is not listed in the README")
    return found


def _section(text: str, title: str) -> str:
    """What a page says behind `**Title.**`, up to the next such title."""
    match = re.search(
        rf"^\*\*{re.escape(title)}\.\*\*(?P<body>.*?)(?=^\*\*\w[^*]*\.\*\*|\Z)", text, re.MULTILINE | re.DOTALL
    )
    return match["body"].strip() if match else ""


def settings_told_wrongly(tree: Mapping[str, str], known: Iterable[str]) -> list[str]:
    """Compare each page's table of settings, one whose first column is headed `Setting`, with those there are."""
    names = set(known)
    found: list[str] = []
    for path, text in tree.items():
        for table in _TABLE_OF_SETTINGS.finditer(text) if path.endswith(".md") else ():
            told = {match["name"] for match in _FIRST_CELL_NAME.finditer(table["rows"])}
            found += [f"{path}: {name} is no setting" for name in sorted(told - names)]
            found += [f"{path}: {name} is not told" for name in sorted(names - told)]
    return found


def _setting_names() -> Iterator[str]:
    for setting in SETTINGS:
        yield setting.name


def test_the_pages_that_everybody_looks_for_are_there(tree: Mapping[str, str]) -> None:
    """What it is, how it is built, how to change it, what changed, and why it is as it is."""
    assert missing_pages(tree) == []


def test_every_link_within_the_pages_leads_somewhere(tree: Mapping[str, str]) -> None:
    """To a file or folder of the repository, and to a heading where one is named."""
    assert dead_links(tree) == []


def test_decisions_are_numbered_and_name_what_was_refused(tree: Mapping[str, str]) -> None:
    """A decision that names no alternative was none, and one that is not listed is not found."""
    assert untidy_decisions(tree) == []


def test_the_tables_of_settings_are_those_of_the_code(tree: Mapping[str, str]) -> None:
    """A page that lists the settings lists all of them and no other."""
    assert settings_told_wrongly(tree, _setting_names()) == []


def test_a_missing_page_is_seen() -> None:
    """A page that is there but empty is missing."""
    assert missing_pages(dict.fromkeys(MUST_EXIST[:-1], "words") | {MUST_EXIST[-1]: "\n"}) == [
        "docs/decisions/README.md"
    ]


def test_a_dead_link_is_seen() -> None:
    """A missing file, a missing heading, and a way out of the repository; what stands in code is no link."""
    planted = {
        "README.md": (
            "[a](docs/a.md) [b](docs/b.md) [c](docs) [d](#here) [e](#there) [f](https://x.example)\n`[g](h)`\n# Here\n"
        ),
        "docs/a.md": "[up](../README.md#here) [gone](../LICENSE) [out](../../x.md)\n",
    }
    assert dead_links(planted) == [
        "README.md: docs/b.md",
        "README.md: #there",
        "docs/a.md: ../LICENSE",
        "docs/a.md: ../../x.md",
    ]


def test_an_untidy_decision_is_seen() -> None:
    """A gap, a name without a number, no alternative, and a page that the list leaves out."""
    whole = "".join(f"**{title}.** Words.\n\n" for title in MUST_SAY)
    planted = {
        f"{DECISIONS}README.md": "[1](0001-first.md) [3](0003-third.md)",
        f"{DECISIONS}0001-first.md": whole,
        f"{DECISIONS}0003-third.md": whole.replace("**Refused.** Words.", "**Refused.**"),
        f"{DECISIONS}notes.md": whole,
    }
    assert untidy_decisions(planted) == [
        "docs/decisions/notes.md: is not named like 0001-what-was-decided.md",
        "the numbers [1, 3] have a gap or a double",
        "docs/decisions/0003-third.md: says nothing under Refused",
        "docs/decisions/notes.md: is not listed in the README",
    ]


def test_a_setting_told_wrongly_is_seen() -> None:
    """One that does not exist, and one that is left out; a table of something else is left alone."""
    rows = "| Setting | Meaning |\n|---|---|\n| `PORT` | where it listens |\n| `PORTS` | nothing |\n"
    planted = {"docs/a.md": rows, "docs/b.md": rows.replace("Setting", "Word"), "docs/c.txt": rows}
    assert settings_told_wrongly(planted, ["PORT", "MODE"]) == [
        "docs/a.md: PORTS is no setting",
        "docs/a.md: MODE is not told",
    ]
