import json
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.acceptance.conftest import PORTS, command, is_free
from tests.cli.waiting import until

from counterfoil.store import embedded

STOPPED_SECONDS = 45.0
"""What runs drains within 18 s, PostgreSQL stops within 15 s; the rest is for a busy machine."""


@contextmanager
def running(home: Path, port_base: int, environment: dict[str, str], *more: str) -> Iterator[subprocess.Popen[str]]:
    """Run `counterfoil up` until it says that everything is there; killed at the end if it still runs."""
    arguments = ("up", "--home", str(home), "--port-base", str(port_base), *more)
    with subprocess.Popen(command(*arguments), env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said: list[str] = []
        while not any("Counterfoil is up" in line for line in said):
            line = process.stdout.readline()
            assert line, f"it ended with {process.wait()}"
            said.append(line)
        try:
            yield process
        finally:
            process.kill()


def counterfoil(home: Path, environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        env=environment | {"COUNTERFOIL_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def all_free(port_base: int) -> bool:
    return all(is_free(port) for port in range(port_base, port_base + PORTS))


async def test_up_takes_payments_keeps_them_and_leaves_nothing_behind(
    home: Path, port_base: int, environment: dict[str, str]
) -> None:
    """With nothing set up, `up` and `pay` are all it takes.

    The customer's receipt, in their language, is in the mailbox. After a stop the payments are still there, and a kill
    that nobody can catch leaves no process.
    """
    customer = ("--email", "kim@shop.example", "--locale", "de-AT")
    with running(home, port_base, environment) as process:
        paid = counterfoil(
            home, environment, "pay", "19.99", "EUR", "--card", "visa", "--order", "first", *customer, "--watch"
        )
        until(lambda: "Beleg zur Bestellung first: 19.99 EUR" in counterfoil(home, environment, "mail", "list").stdout)
        mode = stat.S_IMODE((home / "client.json").stat().st_mode)
        process.send_signal(signal.SIGTERM)
        code = process.wait(STOPPED_SECONDS)
    assert (paid.returncode, paid.stdout.splitlines()[-1][:20]) == (0, "succeeded  19.99 EUR")
    assert (code, mode, all_free(port_base)) == (0, 0o600, True)
    assert counterfoil(home, environment, "list").returncode == 69

    token = json.loads((home / "client.json").read_text())["token"]
    with running(home, port_base, environment) as process:
        listed = json.loads(counterfoil(home, environment, "list", "--json").stdout)
        process.kill()
    assert [payment["order_id"] for payment in listed] == ["first"]
    assert json.loads((home / "client.json").read_text())["token"] == token
    until(lambda: all_free(port_base), seconds=STOPPED_SECONDS)
    async with embedded.server(home):
        """Its lock is free, so no process of the killed one's server is left."""


def test_a_port_in_use_is_named(tmp_path: Path, port_base: int, environment: dict[str, str]) -> None:
    """Before anything is started, the port that is taken is named (G14)."""
    with socket.create_server(("127.0.0.1", port_base + 9)):
        done = counterfoil(tmp_path, environment, "up", "--port-base", str(port_base))
    assert done.returncode == 1
    assert done.stderr.startswith(f"counterfoil: port {port_base + 9} (sandbox) is in use: stop what listens there")
    assert list(tmp_path.iterdir()) == []


def test_without_the_sandbox_a_key_is_needed(tmp_path: Path, port_base: int, environment: dict[str, str]) -> None:
    """Against Stripe itself nothing is made up: the setting that is missing is named (exit 78)."""
    done = counterfoil(tmp_path, environment, "up", "--no-sandbox", "--port-base", str(port_base))
    assert done.returncode == 78
    assert done.stderr.startswith("counterfoil: STRIPE_KEY is missing")
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_does_not_answer_is_exit_69(
    tmp_path: Path, port_base: int, environment: dict[str, str]
) -> None:
    """Nothing listens at DATABASE_URL: one line, without the password, and no process was started."""
    settings = environment | {"DATABASE_URL": "postgresql://app:hunter2@127.0.0.1:1/x"}
    done = counterfoil(tmp_path, settings, "up", "--port-base", str(port_base))
    assert (done.returncode, done.stderr.count("\n"), "hunter2" in done.stderr) == (69, 1, False)
    assert done.stderr.startswith("counterfoil: the database cannot be reached")
    assert [path.name for path in tmp_path.rglob("*")] == ["logs"]
