"""The mailbox as a process."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from tests.stage import free_port, until

from counterfoil.domain.effects import Outcome
from counterfoil.mail.courier import Courier
from counterfoil.mail.letters import Letter
from counterfoil.runtime.secret import Secret


@dataclass(frozen=True, slots=True)
class Running:
    """A mailbox process: its pages, its mail server, its folder."""

    process: "subprocess.Popen[bytes]"
    url: str
    smtp_url: str
    folder: Path
    log: Path

    async def deliver(self, content: bytes) -> Outcome:
        """Hand a letter in."""
        letter = Letter("orders@shop.example", "kim@customer.example", content)
        return (await Courier(Secret(self.smtp_url)).deliver(letter, lambda: True)).outcome


@pytest.fixture
async def mailbox(tmp_path: Path) -> AsyncIterator[Running]:
    """A mailbox at work; it ends with the test."""
    port, smtp_port, log = free_port(), free_port(), tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "counterfoil.roles.mailbox", "--folder", str(tmp_path / "mail")),
                *("--port", str(port), "--smtp-port", str(smtp_port)),
            ],
            stderr=output,
        )
    running = Running(process, f"http://127.0.0.1:{port}", f"smtp://127.0.0.1:{smtp_port}", tmp_path / "mail", log)
    try:
        await asyncio.to_thread(until, lambda: _is_ready(running))
        yield running
    finally:
        process.kill()
        process.wait(10)


def _is_ready(running: Running) -> bool:
    assert running.process.poll() is None, running.log.read_text()
    try:
        with socket.create_connection(("127.0.0.1", int(running.smtp_url.rpartition(":")[2])), timeout=1):
            return httpx.get(f"{running.url}/readyz", trust_env=False).status_code == httpx.codes.OK
    except (OSError, httpx.TransportError):
        return False
