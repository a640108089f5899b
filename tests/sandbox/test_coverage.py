"""The coverage page is written from the code and Stripe's file, and neither may move without it."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.sandbox import openapi

from stripe_sandbox import coverage
from stripe_sandbox.api import OPERATIONS

PAGE = Path(__file__).parents[2] / "src" / "stripe_sandbox" / "COVERAGE.md"
SPECIFICATION = openapi.specification()
pytestmark = pytest.mark.skipif(SPECIFICATION is None, reason=openapi.WHY_SKIPPED)


def test_the_page_is_what_the_command_prints() -> None:
    """A parameter or operation more or less makes the page stale; `make sandbox-coverage` renews it."""
    found = openapi.found()
    assert found is not None
    printed = subprocess.run(
        [sys.executable, "-m", "stripe_sandbox.coverage", str(found)], capture_output=True, text=True, check=True
    ).stdout

    assert printed == PAGE.read_text()


def test_the_sandbox_takes_nothing_that_stripe_does_not_know() -> None:
    """Every operation and every parameter here is Stripe's own."""
    assert SPECIFICATION is not None
    invented = {}
    for operation in OPERATIONS:
        extra = operation.parameters.fields.keys() - coverage.known_parameters(SPECIFICATION.document, operation)
        if extra:
            invented[f"{operation.method} {operation.path}"] = extra

    assert invented == {}


def test_what_stripe_requires_is_required() -> None:
    """The parameters that Stripe's file demands are demanded here."""
    assert SPECIFICATION is not None
    lax = {}
    for operation in OPERATIONS:
        described = SPECIFICATION.document["paths"][operation.path][operation.method.lower()]
        demanded = {
            parameter["name"]
            for parameter in described.get("parameters", ())
            if parameter["in"] == "query" and parameter.get("required")
        }
        for content in described.get("requestBody", {}).get("content", {}).values():
            demanded |= set(content["schema"].get("required", ()))
        if demanded - set(operation.parameters.required):
            lax[f"{operation.method} {operation.path}"] = demanded - set(operation.parameters.required)

    assert lax == {}
