"""How much memory each role holds at most, while orders go through the whole pipeline.

Starts the pipeline of `make demo-kafka` (Java and Maven are needed), brings orders through it until the books are
equal, and asks the system for each process's peak::

    .venv/bin/python -m benchmarks.memory [orders]
"""

import asyncio
import re
import sys
import tempfile
from pathlib import Path

from counterfoil import config
from counterfoil.cli.installation import Plan
from counterfoil.cli.ports import Ports
from counterfoil.store import embedded
from examples.pipeline import demo
from examples.pipeline.running import SHOP, pipeline

_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


def peak_mib(pid: int) -> float:
    """Return the most that a process ever held in memory, as Linux tells it: program and libraries included."""
    found = _PEAK.search(Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


async def main(orders: int) -> None:
    """Measure all processes in one run."""
    home = Path(tempfile.mkdtemp())
    plan = Plan(settings=config.load({}, None), home=home, ports=Ports.free(), sandbox=True, say=lambda _line: None)
    async with pipeline(plan) as running:
        names = [*(seat.name for seat in running.here.seats), SHOP, "sandbox", "kafka"]
        idle = {name: peak_mib(running.here.kept.pid(name)) for name in names}
        told = await demo.played(running, orders, 1, lambda *_: None)
        busy = {name: peak_mib(running.here.kept.pid(name)) for name in names}
    embedded.remove(home)
    print(f"{orders} orders; the books are {'equal' if not told.differences else 'not equal'}")
    for name in names:
        print(f"{name:<18} {idle[name]:6.1f} MiB once ready, {busy[name]:6.1f} MiB at most")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if sys.argv[1:] else 2000))
