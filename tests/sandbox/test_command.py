import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

COMMAND = [str(Path(sys.executable).with_name("stripe-sandbox"))]
MODULE = [sys.executable, "-m", "stripe_sandbox"]


@contextmanager
def _started(command: list[str], *options: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    process = subprocess.Popen(
        [*command, "--port", "0", "--json", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield process, json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("command", [COMMAND, MODULE])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_told_to_stop(command: list[str], number: signal.Signals) -> None:
    """Both ways to start it listen where they say, and end with 0 and nothing on standard error."""
    with _started(command) as (process, said):
        with urlopen(f"{said['url']}/_sandbox/health", timeout=10) as answer:  # noqa: S310 - our own address
            health = json.load(answer)
        process.send_signal(number)
        _, errors = process.communicate(timeout=10)

    assert (health["status"], process.returncode, errors) == ("ok", 0, "")


def test_a_given_key_and_secret_are_never_printed() -> None:
    """Only a signing secret that it made itself is told, once, for otherwise nobody would know it."""
    with _started(COMMAND, "--webhook-url", "http://127.0.0.1:9/", "--webhook-secret", "whsec_ours") as (_, known):
        pass
    with _started(COMMAND, "--webhook-url", "http://127.0.0.1:9/", "--key", "sk_test_ours") as (_, made):
        request = Request(f"{made['url']}/v1/charges", headers={"Authorization": "Bearer sk_test_ours"})  # noqa: S310 - our own address
        with urlopen(request, timeout=10) as answer:  # noqa: S310 - the same
            status = answer.status

    assert (list(known), status) == (["url"], 200)
    assert made["webhook_secret"].startswith("whsec_")


@pytest.mark.parametrize(
    "options",
    [
        ["--port", "banana"],
        ["--port", "70000"],
        ["--latency", "-1"],
        ["--rate-limit", "0"],
        ["--webhook-secret", "whsec_x"],
        ["--moon"],
    ],
)
def test_a_wrong_option_is_a_usage_error(options: list[str]) -> None:
    """Exit 2 and a sentence on standard error."""
    ended = subprocess.run([*MODULE, *options], capture_output=True, text=True, timeout=30, check=False)

    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr


def test_a_taken_port_is_told() -> None:
    """Exit 69 and one line that names the address."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        ended = subprocess.run([*MODULE, "--port", port], capture_output=True, text=True, timeout=30, check=False)

    assert (ended.returncode, len(ended.stderr.splitlines()), port in ended.stderr) == (69, 1, True)
