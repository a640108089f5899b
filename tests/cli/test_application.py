import subprocess
import sys
from collections.abc import Callable

import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]

HEAVY = ("rich", "httpx", "stripe", "asyncpg", "fastapi", "aiohttp", "uvicorn", "uvloop", "pydantic", "asyncio")


def test_importing_the_command_line_imports_nothing_heavy() -> None:
    """`--help` stays quick because what a command works with is imported when it is called."""
    program = f"import counterfoil.cli, sys; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_lists_the_commands(counterfoil: Command) -> None:
    """Somebody who knows nothing finds the commands."""
    done = counterfoil("--help")
    assert done.returncode == 0
    assert "  config " in done.stdout


@pytest.mark.parametrize("arguments", [("pya",), ("config", "--jsno"), ("config", "extra")])
def test_what_is_not_understood_is_usage(counterfoil: Command, arguments: tuple[str, ...]) -> None:
    """A misspelt command, option or argument exits 2, as scripts expect (C02)."""
    done = counterfoil(*arguments)
    assert (done.returncode, done.stdout) == (2, "")


def test_an_argument_that_is_no_utf8_is_usage(counterfoil: Command) -> None:
    """Bytes that are no text never reach an order or a log (C14)."""
    done = counterfoil("config", b"\xff\xfe")
    assert (done.returncode, done.stderr) == (2, "counterfoil: an argument is not valid UTF-8\n")


@pytest.mark.parametrize("argument", ["sk_test_51NotARealKey", "--key=rk_live_51NotARealKey", "whsec_aaaaaaaaaaaaaaaa"])
def test_a_secret_among_the_arguments_is_refused(counterfoil: Command, argument: str) -> None:
    """Every user of a machine can list its processes, so a secret is never an argument, nor repeated (C12)."""
    done = counterfoil("config", argument)
    assert done.returncode == 2
    assert done.stderr.startswith("counterfoil: an argument holds a secret")
    assert argument not in done.stderr


def test_wrong_settings_exit_78_with_one_line(counterfoil: Command) -> None:
    """A typo in a setting's name stops the command and names the nearest one (G13)."""
    done = counterfoil("config", settings={"STRIPE_WEBHOOK_SECRT": "x"})
    assert (done.returncode, done.stderr) == (
        78,
        "counterfoil: STRIPE_WEBHOOK_SECRT is not a setting: did you mean STRIPE_WEBHOOK_SECRET?\n",
    )
