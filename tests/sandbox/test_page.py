import json
import re
import subprocess
import sys
from pathlib import Path

from stripe_sandbox.api import OPERATIONS
from stripe_sandbox.control import ROUTES
from stripe_sandbox.document import PART, PARTS, documented

PAGE = (Path(__file__).parents[2] / "src" / "stripe_sandbox" / "README.md").read_text()


def test_the_ten_lines_print_what_the_page_says() -> None:
    """The page's script, run as it stands by a plain SDK against the sandbox as a program, prints what follows it."""
    script, printed = re.findall(r"^```(?:python|text)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[:2]
    command = [sys.executable, "-m", "stripe_sandbox", "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as sandbox:
        assert sandbox.stdout is not None
        url = json.loads(sandbox.stdout.readline())["url"]
        ran = subprocess.run(
            [sys.executable, "-c", script.replace("http://127.0.0.1:12111", url)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        sandbox.terminate()

    assert (ran.stderr, ran.stdout) == ("", printed)


def test_the_page_lists_what_the_sandbox_covers() -> None:
    """Every operation is on the page, and the page promises none that is not there."""
    covered = {f"{operation.method} {operation.path}" for operation in OPERATIONS}

    assert set(re.findall(r"`((?:GET|POST|DELETE) /v1/[^`]+)`", PAGE)) == covered


def test_the_page_lists_the_sandboxs_own_addresses() -> None:
    """Every address under `/_sandbox` is on the page."""
    own = {f"{method} /_sandbox/{name}" for method, name in ROUTES}

    assert set(re.findall(r"`((?:GET|POST|DELETE) /_sandbox/[^`]+)`", PAGE)) == own


def test_the_page_says_what_the_code_says() -> None:
    """What is made from the code is up to date: `python -m stripe_sandbox.document src/stripe_sandbox/README.md`."""
    assert documented(PAGE) == PAGE
    assert {part["name"] for part in PART.finditer(PAGE)} == set(PARTS)


def test_a_stale_part_is_seen() -> None:
    """What stands in a part is replaced; what stands outside stays."""
    stale = "before\n<!-- part: methods -->\nold\n<!-- end -->\nafter\n"

    assert documented(stale).startswith("before\n<!-- part: methods -->\nAfter `pm_card_`")
    assert documented(stale).endswith("<!-- end -->\nafter\n")
