"""What the pages tell people to type is typed here, and what they show is what comes.

A ```console block is preceded by a comment that says what becomes of it:

- ``<!-- run -->``: its commands (``$ ``) are run, all blocks of a page in one shell, in order, beside an installation.
- ``<!-- run beside: COMMAND -->``: COMMAND is started in its place and left running. It is the installation.
- ``<!-- not run: REASON -->``: it is a skipped test with that reason.

The pages on concepts have no installation of their own: each is typed into a shell of its own beside the one of
`docs/getting-started.md`, once that page is through.

Every line shown has to be printed, in any order, since two processes may speak at once; white space counts for nothing,
and ``…`` stands for anything. A command that ends with another code than 0 fails the test.
"""

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Timer

import pytest
from tests.broker import LACKING, WHY_SKIPPED

ROOT = Path(__file__).parents[2]
GUESTS = tuple(
    sorted(
        str(path.relative_to(ROOT))
        for path in (ROOT / "docs/concepts").glob("*.md")
        if "```console" in path.read_text("utf-8")
    )
)
HOST = "docs/getting-started.md"
PIPELINE = "docs/pipeline.md"
PAGES = ("README.md", HOST, PIPELINE)
PATIENCE_SECONDS = 240.0
"""For all blocks of a page; beyond it something hangs."""

_BLOCK = re.compile(r"(?:^<!-- (?P<mark>[^\n]*?) -->\n)?^```console\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_IS_UP = "Counterfoil is up"


@dataclass(frozen=True, slots=True)
class Block:
    """A block of a page: what becomes of it, and what it shows."""

    page: str
    mark: str
    body: str

    @property
    def title(self) -> str:
        """The page and the first command."""
        return f"{self.page}: {self.body.splitlines()[0]}"

    @property
    def steps(self) -> list[tuple[str, list[str]]]:
        """Each command with the lines shown beneath it."""
        steps: list[tuple[str, list[str]]] = []
        for line in self.body.splitlines():
            if line.startswith("$ "):
                steps.append((line.removeprefix("$ "), []))
            elif line.strip():
                steps[-1][1].append(line)
        return steps


def blocks_of(page: str, text: str) -> list[Block]:
    return [Block(page, match["mark"] or "", match["body"]) for match in _BLOCK.finditer(text)]


def not_printed(shown: list[str], printed: str) -> list[str]:
    """Return the lines shown of which there is nothing in what was printed."""
    there = [" ".join(line.split()) for line in printed.splitlines()]
    return [line for line in shown if not any(_pattern(line).fullmatch(one) for one in there)]


def _pattern(line: str) -> re.Pattern[str]:
    parts = " ".join(line.split()).split("…")
    return re.compile(".*".join(re.escape(part.strip()) for part in parts))


class Shell:
    """One shell that runs command after command, so that what one exports the next one sees."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            ["/bin/sh"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # so that whatever hangs can be ended together with its shell
        )
        self._watch = Timer(PATIENCE_SECONDS, os.killpg, (self._process.pid, signal.SIGKILL))
        self._watch.start()

    def run(self, command: str) -> tuple[int, str]:
        """Return the command's exit code and what it printed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{{ {command}\n}} </dev/null\nprintf '\\n%s %s\\n' '{_END}' $?\n")
        self._process.stdin.flush()
        printed: list[str] = []
        for line in self._process.stdout:
            if line.startswith(_END):
                return int(line.split()[-1]), "".join(printed)
            printed.append(line)
        raise AssertionError(f"the shell ended, or took longer than {PATIENCE_SECONDS:.0f} s: {command}")

    def close(self) -> None:
        """Let it end."""
        self._watch.cancel()
        self._process.communicate("")


_END = "=== the end of a command, with exit code"


@contextmanager
def installed(command: str, environment: Mapping[str, str], port_base: int) -> Iterator[str]:
    """Run an installation until it is up; give what it printed, and stop it at the end."""
    words = shlex.split(command.replace("$PORT_BASE", str(port_base)))
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        printed = ""
        while _IS_UP not in printed or not printed.endswith("\n\n"):
            line = process.stdout.readline()
            assert line, f"it ended with {process.wait()}"
            printed += line
        try:
            yield printed
        finally:
            process.terminate()


@pytest.fixture
def surroundings(environment: dict[str, str], home: Path) -> dict[str, str]:
    """The environment of a person who has nothing set but where things are to be kept."""
    path = f"{Path(sys.executable).parent}:{environment['PATH']}"
    return environment | {"PATH": path, "COUNTERFOIL_HOME": str(home), "HOME": str(home.parent)}


def wrong_steps(blocks: list[Block], shell: Shell) -> list[str]:
    """Run the blocks and return what did not go as shown."""
    wrong = []
    for block in blocks:
        for command, shown in block.steps:
            code, printed = shell.run(command)
            if code:
                wrong.append(f"{block.page}: {command}: exit code {code}\n{printed}")
            wrong += [
                f"{block.page}: {command}: not printed: {line}\n{printed}" for line in not_printed(shown, printed)
            ]
    return wrong


def all_blocks() -> list[Block]:
    return [block for page in (*PAGES, *GUESTS) for block in blocks_of(page, (ROOT / page).read_text("utf-8"))]


def test_every_block_says_what_becomes_of_it() -> None:
    """A block without a mark would be shown to people and seen by no test."""
    unmarked = [block.title for block in all_blocks() if not re.fullmatch(r"run|(run beside|not run): .+", block.mark)]
    assert unmarked == []


@contextmanager
def shell_of(environment: Mapping[str, str]) -> Iterator[Shell]:
    """Open a shell, and close it at the end."""
    shell = Shell(environment)
    try:
        yield shell
    finally:
        shell.close()


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        HOST,
        pytest.param(PIPELINE, marks=pytest.mark.skipif(bool(LACKING), reason=WHY_SKIPPED)),
    ],
)
def test_what_a_page_shows_is_what_comes(page: str, surroundings: dict[str, str], port_base: int) -> None:
    """Typed in order into one shell for each page, each command ends well and prints the lines shown."""
    blocks = [block for block in all_blocks() if block.page in (page, *(GUESTS if page == HOST else ()))]
    beside = [block for block in blocks if block.mark.startswith("run beside: ")]
    run = [block for block in blocks if block.mark == "run"]
    assert {block.page for block in run} == {block.page for block in blocks}
    wrong = []
    with ExitStack() as ending:
        for block in beside:
            command = block.mark.removeprefix("run beside: ")
            printed = ending.enter_context(installed(command, surroundings, port_base))
            wrong += not_printed(block.steps[0][1], printed)
        for typed in dict.fromkeys((page, *(block.page for block in run))):
            with shell_of(surroundings) as shell:
                wrong += wrong_steps([block for block in run if block.page == typed], shell)
    assert wrong == []


@pytest.mark.parametrize(
    "block", [one for one in all_blocks() if one.mark.startswith("not run: ")], ids=lambda b: b.title
)
def test_what_is_not_run_has_its_reason(block: Block) -> None:
    """The list of blocks that nothing here proves, in the summary of every run."""
    pytest.skip(reason=f"{block.title}: {block.mark.removeprefix('not run: ')}")


def test_what_is_not_printed_is_seen(surroundings: dict[str, str]) -> None:
    """A line that differs, a command that fails; what differs in white space or behind an ellipsis is the same."""
    text = "<!-- run -->\n```console\n$ echo 'one  2 three'\none … three\none 2 four\n$ false\n```\n"
    (block,) = blocks_of("planted.md", text)
    with shell_of(surroundings) as shell:
        wrong = wrong_steps([block], shell)
    assert [one.splitlines()[0] for one in wrong] == [
        "planted.md: echo 'one  2 three': not printed: one 2 four",
        "planted.md: false: exit code 1",
    ]


def test_a_block_without_a_mark_is_seen() -> None:
    """A mark that is not right above its block belongs to nothing."""
    text = "<!-- run -->\n\n```console\n$ true\n```\n\n<!-- run -->\n```console\n$ true\n```\n"
    assert [block.mark for block in blocks_of("planted.md", text)] == ["", "run"]
