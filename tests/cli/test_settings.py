import json
import subprocess
from collections.abc import Callable

Command = Callable[..., subprocess.CompletedProcess[str]]


def test_config_prints_each_setting_with_its_source(counterfoil: Command) -> None:
    """An operator sees what is set, where it came from and what it is for, with secrets masked."""
    done = counterfoil("config", settings={"STRIPE_KEY": "sk_test_51NotARealKey", "PORT": "9000"})
    lines = {line.split()[0]: line.split()[1:3] for line in done.stdout.splitlines()}
    assert done.returncode == 0
    assert lines["STRIPE_KEY"] == ["sk_test_…", "environment"]
    assert lines["PORT"] == ["9000", "environment"]
    assert lines["LOG_LEVEL"] == ["info", "default"]
    assert lines["RETURN_URL"] == ["-", "unset"]
    assert "NotAReal" not in done.stdout


def test_config_as_json(counterfoil: Command) -> None:
    """A script reads the same from one JSON array."""
    done = counterfoil("config", "--json", settings={"MODE": "test"})
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert rows["MODE"] == {
        "name": "MODE",
        "value": "test",
        "source": "environment",
        "purpose": "test or live; must fit the key",
    }
    assert rows["STRIPE_KEY"]["value"] is None
