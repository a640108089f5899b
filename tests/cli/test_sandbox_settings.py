import stat
from pathlib import Path

import pytest

from counterfoil import config
from counterfoil.cli import sandbox_settings
from counterfoil.cli.exits import CommandFailed
from counterfoil.runtime.secret import Secret

KEY, SECRET = Secret("sk_test_sandbox"), Secret("whsec_of_the_sandbox")
API_BASE = "http://127.0.0.1:12111"


def completed(home: Path, **names: str) -> config.Settings:
    return sandbox_settings.completed(config.load({"COUNTERFOIL_HOME": str(home), **names}, None))


def test_what_up_left_of_its_sandbox_is_found(tmp_path: Path) -> None:
    """A command in another window asks the same sandbox; the file is its owner's alone."""
    sandbox_settings.leave(tmp_path, key=KEY, api_base=API_BASE, webhook_secret=SECRET)
    found = completed(tmp_path)
    signed_with = (config.SigningSecret(SECRET),)
    assert (found.stripe_key, found.stripe_api_base, found.stripe_webhook_secrets) == (KEY, API_BASE, signed_with)
    assert stat.S_IMODE((tmp_path / "sandbox.json").stat().st_mode) == 0o600


def test_who_names_a_key_means_that_account(tmp_path: Path) -> None:
    """Nothing of the sandbox is mixed with settings that a person has made, and nothing is made up without it."""
    sandbox_settings.leave(tmp_path, key=KEY, api_base=API_BASE, webhook_secret=SECRET)
    named = completed(tmp_path, STRIPE_KEY="sk_test_51NotARealKey")
    assert (named.stripe_api_base, named.stripe_webhook_secrets) == ("https://api.stripe.com", ())
    sandbox_settings.remove(tmp_path)
    assert completed(tmp_path).stripe_key is None


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    """It is told apart from a missing one."""
    (tmp_path / "sandbox.json").write_text('{"key": 1')
    with pytest.raises(CommandFailed, match=r"sandbox\.json cannot be read"):
        completed(tmp_path)
