"""The shop as a process: its settings, its probes, its end."""

import os
import socket
import subprocess
import sys

import pytest
from tests.shop import CHECKOUT
from tests.stage import free_port

from examples.shop.__main__ import Settings

WHOLE = {"SHOP_DATABASE_URL": "postgresql://shop@db/shop", "KAFKA_BROKERS": "kafka:9092"}


def test_what_is_not_set_is_the_usual() -> None:
    """Where it listens has a default; where its database and its brokers are has none."""
    assert Settings.read(WHOLE) == Settings("postgresql://shop@db/shop", "kafka:9092", "127.0.0.1", 8090)
    assert Settings.read({**WHOLE, "HOST": "0.0.0.0", "PORT": "80"}).port == 80  # noqa: S104 - nothing listens there


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"SHOP_DATABASE_URL": ""}, "SHOP_DATABASE_URL is not set"),
        ({"SHOP_DATABASE_URL": "shop"}, "SHOP_DATABASE_URL must start with postgresql://"),
        ({"KAFKA_BROKERS": ""}, "KAFKA_BROKERS is not set"),
        ({"PORT": "http"}, "PORT is no number"),
    ],
)
def test_a_wrong_setting_ends_the_process_with_a_sentence(change: dict[str, str], sentence: str) -> None:
    """It names the setting, and the exit code is that of a wrong set-up."""
    ended = subprocess.run(
        [sys.executable, "-m", "examples.shop"],
        cwd=CHECKOUT,
        env={"PATH": os.defpath, **WHOLE, **change},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (78, f"{sentence}\n")


async def test_a_port_that_is_taken_ends_the_process(database_url: str) -> None:
    """Before it joins its group: it must not be given partitions that it will never hear."""
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        settings = {
            "SHOP_DATABASE_URL": database_url,
            "KAFKA_BROKERS": f"127.0.0.1:{free_port()}",
            "PORT": str(taken.getsockname()[1]),
        }
        ended = subprocess.run(
            [sys.executable, "-m", "examples.shop"],
            cwd=CHECKOUT,
            env={"PATH": os.defpath, **settings},
            capture_output=True,
            text=True,
            check=False,
        )
    assert ended.returncode == 1
    assert "Address already in use" in ended.stderr
    assert "Traceback" not in ended.stderr


async def test_a_database_that_was_not_made_ends_the_process(database_url: str) -> None:
    """One line says which, as where `createdb` was forgotten."""
    elsewhere = f"{database_url.rpartition('/')[0]}/nowhere"
    ended = subprocess.run(
        [sys.executable, "-m", "examples.shop"],
        cwd=CHECKOUT,
        env={"PATH": os.defpath, **WHOLE, "SHOP_DATABASE_URL": elsewhere, "PORT": str(free_port())},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, len(ended.stderr.splitlines())) == (1, 1)
    assert 'database "nowhere" does not exist' in ended.stderr
