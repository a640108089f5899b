import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from tests.cli.waiting import until

from counterfoil.cli.ports import Ports

Command = Callable[..., subprocess.CompletedProcess[str]]

ROLES = "gateway, webhook-receiver, worker, outbox-publisher, dispatcher"


@pytest.mark.parametrize(
    ("arguments", "settings", "line"),
    [
        (("run", "wroker"), {}, f"there is no such role; the roles are: {ROLES}"),
        (("run",), {}, f"name a role, or set PAYMENTS_MODE; the roles are: {ROLES}"),
        (("run",), {"PAYMENTS_MODE": "wroker"}, f"PAYMENTS_MODE must be one of: {ROLES}"),
    ],
)
def test_an_unknown_role_is_usage(
    counterfoil: Command, arguments: tuple[str, ...], settings: dict[str, str], line: str
) -> None:
    """Whether named as an argument or by PAYMENTS_MODE, exit 2 comes with the list of roles."""
    done = counterfoil(*arguments, settings=settings)
    assert (done.returncode, done.stderr) == (2, f"counterfoil: {line}\n")


def test_the_role_is_found_without_a_look_at_another_roles_files(counterfoil: Command) -> None:
    """PAYMENTS_MODE names the receiver, whose account need not see the key's file: what it lacks is its own secret."""
    settings = {"PAYMENTS_MODE": "webhook-receiver", "SECRETS_SOURCE": "file", "STRIPE_KEY": "/nowhere/key"}
    done = counterfoil("run", settings=settings)
    assert (done.returncode, done.stderr.partition(":")[2][:34]) == (78, " STRIPE_WEBHOOK_SECRETS is missing")


@pytest.mark.parametrize(
    ("role", "setting"),
    [("gateway", "STRIPE_KEY"), ("worker", "STRIPE_KEY"), ("webhook-receiver", "STRIPE_WEBHOOK_SECRETS")],
)
def test_a_role_without_what_it_needs_does_not_start(counterfoil: Command, role: str, setting: str) -> None:
    """A missing key or signing secret is exit 78 with one line, also when PAYMENTS_MODE names the role (G01, G05)."""
    for arguments, settings in ((("run", role), {}), (("run",), {"PAYMENTS_MODE": role})):
        done = counterfoil(*arguments, settings=settings)
        assert (done.returncode, done.stderr.count("\n")) == (78, 1)
        assert done.stderr.startswith(f"counterfoil: {setting} is missing: the {role} cannot work without it")


def test_a_role_runs_until_it_is_told_to_stop(counterfoil: Command, database_url: str, tmp_path: Path) -> None:
    """PAYMENTS_MODE names the role, its probes answer at HOST and PORT, and SIGTERM ends it with exit 0."""
    settings = {"DATABASE_URL": database_url, "LISTEN_ADDRESS": "127.0.0.1", "PORT": str(Ports.free().gateway)}
    counterfoil("migrate", settings=settings)
    url = f"http://127.0.0.1:{settings['PORT']}"
    with subprocess.Popen(
        [sys.executable, "-m", "counterfoil", "run"],
        cwd=tmp_path,
        env={"PATH": os.defpath, "PAYMENTS_MODE": "outbox-publisher", **settings},
    ) as role:
        until(lambda: status(f"{url}/readyz") == 200)
        healthy = status(f"{url}/healthz")
        role.send_signal(signal.SIGTERM)
        assert (healthy, role.wait(20)) == (200, 0)


def test_a_port_in_use_is_exit_1(counterfoil: Command, database_url: str) -> None:
    """A role whose port is taken says which, and does not start half-way (G14)."""
    settings = {"DATABASE_URL": database_url, "LISTEN_ADDRESS": "127.0.0.1"}
    counterfoil("migrate", settings=settings)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = counterfoil("run", "outbox-publisher", settings=settings | {"PORT": str(port)})
    assert done.returncode == 1
    assert str(port) in done.stderr.splitlines()[-1]


def status(url: str) -> int | None:
    try:
        return httpx.get(url, trust_env=False).status_code
    except httpx.TransportError:
        return None
