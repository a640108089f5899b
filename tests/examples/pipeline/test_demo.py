"""The pipeline as one would try it."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.broker import LACKING, WHY_SKIPPED

pytestmark = pytest.mark.skipif(bool(LACKING), reason=WHY_SKIPPED)

SECONDS = 300


def demo(environment: dict[str, str], port_base: int, *more: str) -> subprocess.CompletedProcess[str]:
    """Run the demo as `make demo-kafka` does, on ports of its own."""
    arguments = ("demo", "--port-base", str(port_base), *more)
    return subprocess.run(
        [sys.executable, "-m", "examples.pipeline", *arguments],
        cwd=Path(__file__).parents[3],
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def test_two_hundred_orders_end_with_three_equal_books(environment: dict[str, str], port_base: int) -> None:
    """Declines and cancellations are among them; the shop, Counterfoil and the sandbox have the same of each order."""
    done = demo(environment, port_base)
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout.splitlines()
    assert "  200 of 200 orders placed" in said
    assert "  200 of 200 orders settled" in said
    assert "  ✓ The books are equal, in every figure and for each of the 200 orders." in said
    assert [line.split()[0] for line in said if line.startswith(("paid", "not paid"))] == ["paid", "not"]
