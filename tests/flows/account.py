"""The account of Stripe's test mode that `make test-stripe` makes payments in, and whether there is one."""

import os
import re
import sys
from collections.abc import Mapping

_OF_TEST_MODE = re.compile(r"(?:sk|rk)_test_\w+")


def problem(environment: Mapping[str, str]) -> str | None:
    """Return what keeps the flows from running at Stripe, in one line that repeats no key; None where nothing does."""
    key = environment.get("STRIPE_KEY")
    if not key:
        return "These tests make payments at Stripe: set STRIPE_KEY=sk_test_… to a key of its test mode"
    if _OF_TEST_MODE.fullmatch(key) is None:
        return "STRIPE_KEY is no key of Stripe's test mode, sk_test_… or rk_test_…: nothing was sent"
    return None


def environment() -> Mapping[str, str]:
    """Return the environment these tests were started in."""
    return os.environ  # noqa: TID251 - in whose account to test is the caller's to say


if __name__ == "__main__":
    sys.exit(problem(environment()))
