"""Nothing that is shaped like a secret gets into the log, wherever it comes from."""

import json
import subprocess
import sys

import pytest

from counterfoil.runtime.log import redact

SECRETS = [
    "sk_test_51HxYzABCDEFGH",
    "sk_live_51HxYzABCDEFGH",
    "rk_live_51HxYzABCDEFGH",
    "whsec_abcdefghijklmnop1234",
    "cft_AbCdEfGhIjKlMnOp-_123",
    "pi_3Abc_secret_XyZ123",
    "4242424242424242",
    "4242 4242 4242 4242",
    "4242-4242-4242-4242",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_pitfall_29_what_is_shaped_like_a_secret_is_cut_out(secret: str) -> None:
    """In the middle of a sentence, in any field."""
    event = redact(None, "info", {"event": f"said {secret} aloud", "other": secret})
    assert secret not in json.dumps(event)


@pytest.mark.parametrize(
    "plain", ["evt_1AbC", "01900000-0000-7000-8000-000000000001", "order-2026-11-21-0001", "pi_3Abc"]
)
def test_ids_stay(plain: str) -> None:
    """The log is there to find things by their ids."""
    assert redact(None, "info", {"event": plain}) == {"event": plain}


def test_every_line_is_json_on_standard_error_whoever_writes_it() -> None:
    """Ours and the libraries', a traceback among them, one object a line, redacted."""
    program = """
import logging, structlog
from counterfoil.runtime import log
log.configure("info")
structlog.get_logger().info("role.started", role="worker", key="sk_test_51HxYzABCDEFGH")
structlog.get_logger().debug("not at this level")
logging.getLogger("some.library").warning("took whsec_abcdefghijklmnop1234")
logging.getLogger("some.library").info("small talk")
try:
    raise ValueError("4242424242424242")
except ValueError:
    structlog.get_logger().exception("role.failed")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["event"] for line in lines] == ["role.started", "took …", "role.failed"]
    assert done.stdout == ""
    assert not [secret for secret in SECRETS if secret in done.stderr]
