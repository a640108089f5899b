"""The flows run at Stripe where a key of its test mode is given, and nowhere else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.flows import account
from tests.stage import Stage

ROOT = Path(__file__).parents[2]
KEY = "sk_test_of_the_flows"
PYTEST = ("-m", "pytest", "-p", "no:cacheprovider", "-m", "stripe", "tests/flows")


def run(*command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run Python in an environment that holds nothing else."""
    return subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        check=False,
        cwd=ROOT,
        env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", **environment},
        text=True,
        timeout=300,
    )


def test_without_a_key_make_stops_with_one_line() -> None:
    """It says what to set, before anything is collected."""
    answer = run("-m", "tests.flows.account")

    assert (answer.returncode, answer.stdout) == (1, "")
    assert answer.stderr == "These tests make payments at Stripe: set STRIPE_KEY=sk_test_… to a key of its test mode\n"


@pytest.mark.parametrize(
    "key", ["sk_live_0123456789", "rk_live_0123456789", "pk_test_0123456789", "sk_test_0123 456789"]
)
def test_any_other_key_is_refused_and_not_repeated(key: str) -> None:
    """A live key would charge people; a publishable one may charge nobody."""
    refusal = account.problem({"STRIPE_KEY": key})

    assert refusal is not None
    assert "0123" not in refusal


@pytest.mark.parametrize("key", ["sk_test_0123456789", "rk_test_0123456789"])
def test_a_key_of_test_mode_is_taken(key: str) -> None:
    """Secret or restricted."""
    assert account.problem({"STRIPE_KEY": key}) is None


def test_without_a_key_no_flow_is_begun() -> None:
    """Whoever asks pytest itself for them is told the same."""
    answer = run(*PYTEST)

    assert answer.returncode == pytest.ExitCode.USAGE_ERROR
    assert "set STRIPE_KEY=sk_test_…" in answer.stderr


def test_with_a_key_every_flow_runs_and_runs_again(stage: Stage, postgres_url: str) -> None:
    """As in `make test-stripe`, with a sandbox in Stripe's place that has its own time and forgets nothing."""
    address = stage.start_sandbox("--key", KEY)
    settings = {"STRIPE_KEY": KEY, "STRIPE_API_BASE": address, "DATABASE_URL_FOR_TESTS": postgres_url}

    every = run(*PYTEST, **settings)
    again = run(*PYTEST, "-k", "good_card or same_request", **settings)

    assert (every.returncode, again.returncode) == (0, 0), every.stdout + again.stdout
