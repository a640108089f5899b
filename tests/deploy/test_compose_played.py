"""`compose.yaml` played without Docker: its own commands, settings, waits and health checks, as processes.

What is put in place of the containers is only where things are: hosts, ports, folders, the two images of others.
"""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from tests.broker import LACKING, WHY_SKIPPED, Kafka
from tests.conftest import DatabaseMaker
from tests.shop import CHECKOUT, behind_other_tests, placed
from tests.stage import becomes, free_port

pytestmark = pytest.mark.skipif(bool(LACKING), reason=WHY_SKIPPED)

PROGRAMS = Path(sys.executable).parent
ELSEWHERE = ("postgres", "kafka")
"""Images of others; tests have both already."""

Service = Mapping[str, Any]


@dataclass(frozen=True)
class Machine:
    """Where everything is that has a host of its own in a composition."""

    folder: Path
    ports: Mapping[str, int]
    databases: Mapping[str, str]
    brokers: str

    def placed(self, name: str, text: str) -> str:
        """Return a text of a service with the places of this machine."""
        for database, url in self.databases.items():
            text = text.replace(f"postgresql://counterfoil:for-development-only@postgres:5432/{database}", url)
        text = text.replace("kafka:9092", self.brokers).replace("/var/lib/counterfoil", str(self.folder))
        text = re.sub(r"\b([a-z-]+):8080", lambda found: f"127.0.0.1:{self.ports[found[1]]}", text)
        text = text.replace("127.0.0.1:8080", f"127.0.0.1:{self.ports[name]}")
        return text.replace("0.0.0.0", "127.0.0.1").replace("=8080", f"={self.ports[name]}")  # noqa: S104 - nobody listens there

    def environment(self, name: str, service: Service) -> dict[str, str]:
        """Return what a service is given, and where it listens here."""
        given = {key: self.placed(name, str(value)) for key, value in service.get("environment", {}).items()}
        here = {"PORT": str(self.ports[name]), "LISTEN_ADDRESS": "127.0.0.1"}
        return {"PATH": f"{PROGRAMS}:{os.defpath}", **given, **here}

    def command(self, name: str, service: Service) -> list[str]:
        """Return what a service runs."""
        whole = [*service.get("entrypoint", ["counterfoil"]), *service.get("command", [])]
        return [self.placed(name, part) for part in whole]

    @contextmanager
    def running(self, name: str, service: Service) -> Iterator["subprocess.Popen[bytes]"]:
        """Run a service until the end of the block."""
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                self.command(name, service), cwd=CHECKOUT, env=self.environment(name, service), stdout=log, stderr=log
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait(10)

    async def is_healthy(self, name: str, service: Service) -> bool:
        """Ask as its health check does."""
        kind, *check = service["healthcheck"]["test"]
        assert kind == "CMD"
        asking = await asyncio.create_subprocess_exec(
            *(part.replace(":8080", f":{self.ports[name]}") for part in check),
            env={"PATH": f"{PROGRAMS}:{os.defpath}"},
            stderr=subprocess.DEVNULL,
        )
        return await asking.wait() == 0


async def started(machine: Machine, services: Mapping[str, Service], ending: ExitStack) -> None:
    """Start each service once those that it waits for are there, and wait for it as it is waited for."""
    there = set(ELSEWHERE)
    while waiting := [name for name in services if name not in there]:
        name = next(name for name in waiting if set(services[name].get("depends_on", {})) <= there)
        process = ending.enter_context(machine.running(name, services[name]))
        log = machine.folder / f"{name}.log"
        if "healthcheck" in services[name]:
            await becomes(bool, partial(machine.is_healthy, name, services[name]), seconds=60)
            assert process.poll() is None, log.read_text()
        else:
            assert await asyncio.to_thread(process.wait, 60) == 0, log.read_text()
        there.add(name)


async def test_an_order_is_paid_and_another_one_given_back(
    kafka: Kafka, make_database: DatabaseMaker, http: httpx.AsyncClient, tmp_path: Path
) -> None:
    """Each service starts, ends or becomes healthy in its turn; then orders go all the way."""
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", (CHECKOUT / "compose.yaml").read_text())
    services = yaml.safe_load(text)["services"]
    databases = {"counterfoil": await make_database(), "shop": await make_database()}
    for folder in ("tokens", "sandbox"):
        (tmp_path / folder).mkdir()
    machine = Machine(tmp_path, {name: free_port() for name in services}, databases, kafka.brokers)
    await behind_other_tests(kafka)
    shop = f"http://127.0.0.1:{machine.ports['shop']}"
    with ExitStack() as ending:
        await started(machine, services, ending)
        await placed(http, shop, "composed-1")
        await placed(http, shop, "composed-2")

        async def state_of(order_id: str) -> tuple[str, int, int]:
            order = (await http.get(f"{shop}/orders/{order_id}")).json()
            return order["status"], order["paid_cents"], order["refunded_cents"]

        for order_id in ("composed-1", "composed-2"):
            await becomes(("paid", 2670, 0), partial(state_of, order_id), seconds=60)
        await http.post(f"{shop}/orders/composed-2/cancel")
        await becomes(("cancelled", 2670, 2670), partial(state_of, "composed-2"), seconds=60)
