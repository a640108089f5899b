import stat
from pathlib import Path

import pytest

from counterfoil import config
from counterfoil.cli.connection import Gateway, gateway_of, write_client_file
from counterfoil.cli.exits import CommandFailed, Unreachable
from counterfoil.runtime.secret import Secret

LEFT = "http://127.0.0.1:8080"
TOKEN = Secret("cf_left_by_up")


def settings(home: Path, **names: str) -> config.Settings:
    return config.load({"COUNTERFOIL_HOME": str(home), **names}, None)


def test_what_up_left_is_found(tmp_path: Path) -> None:
    """After `counterfoil up`, the other commands need no settings; the file is its owner's alone."""
    path = write_client_file(tmp_path, LEFT, TOKEN)
    assert gateway_of(settings(tmp_path)) == Gateway(LEFT, TOKEN)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_settings_win(tmp_path: Path) -> None:
    """Who names a gateway means that one."""
    write_client_file(tmp_path, LEFT, TOKEN)
    named = settings(tmp_path, COUNTERFOIL_URL="https://pay.example.com", COUNTERFOIL_TOKEN="cf_other")
    assert gateway_of(named) == Gateway("https://pay.example.com", Secret("cf_other"))


def test_the_token_of_the_file_goes_to_no_other_gateway(tmp_path: Path) -> None:
    """A token made here is not shown to a gateway elsewhere that happens to be named."""
    write_client_file(tmp_path, LEFT, TOKEN)
    assert gateway_of(settings(tmp_path, COUNTERFOIL_URL="https://pay.example.com")).token is None
    assert gateway_of(settings(tmp_path, COUNTERFOIL_URL=LEFT)).token == TOKEN


def test_no_gateway_known(tmp_path: Path) -> None:
    """Where nothing says which gateway, the line says how to get one."""
    with pytest.raises(Unreachable, match="run `counterfoil up`"):
        gateway_of(settings(tmp_path))


@pytest.mark.parametrize("left", ["", "[]", '{"url": "http://x"}', "\udcff"])
def test_a_damaged_file_is_named(tmp_path: Path, left: str) -> None:
    """A half-written file is told apart from a missing one, so that somebody can mend it."""
    (tmp_path / "client.json").write_bytes(left.encode("utf-8", "surrogateescape"))
    with pytest.raises(CommandFailed, match=r"client\.json cannot be read"):
        gateway_of(settings(tmp_path))
