"""`python -m examples.pipeline`: the commands. They end as those of `counterfoil` do."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from counterfoil import config
from counterfoil.cli import terminal
from counterfoil.cli.application import ended
from counterfoil.cli.exits import CommandFailed, ExitCode
from counterfoil.cli.fresh_home import kept_or_fresh
from counterfoil.cli.installation import Plan
from counterfoil.cli.ports import Ports
from counterfoil.cli.up import Home, PortBase, show_processes, until_told
from examples.pipeline import demo
from examples.pipeline.running import SHOP, Pipeline, pipeline

SHOP_PORT = 8090
"""Where the shop is found, if no base moves it."""

app = typer.Typer(
    name="pipeline", no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False
)

Each = Annotated[int, typer.Option(min=1, max=3, help="How many of every role.")]
Orders = Annotated[int, typer.Option(min=1, max=100_000, help="How many orders customers place.")]
Seed = Annotated[int, typer.Option(help="Which customers: the same seed is the same orders.")]


@app.command("demo")
def play(  # noqa: PLR0913 - each is an option of its own
    *,
    orders: Orders = 200,
    seed: Seed = 1,
    each: Each = 1,
    port_base: PortBase = None,
    home: Home = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object at the end instead.")] = False,
) -> None:
    """Bring orders through the whole pipeline and compare three books; exit 0 only if they are equal."""
    place = Path(home).absolute() if home else None
    told = asyncio.run(_played(place, port_base, orders, seed, each, quiet=as_json))
    if as_json:
        terminal.print_json(told.plain())
    if told.differences:
        raise typer.Exit(ExitCode.REFUSED)


@app.command()
def up(*, orders: Orders = 50, seed: Seed = 1, each: Each = 1, port_base: PortBase = None, home: Home = "") -> None:
    """Run the whole pipeline until interrupted; customers place some orders, and you may place more."""
    settings = config.load_from_process(None)
    plan = Plan(
        settings=settings,
        home=(Path(home) if home else settings.counterfoil_home / "pipeline").absolute(),
        ports=Ports.from_base(port_base) if port_base else Ports(),
        sandbox=True,
        each=each,
        say=lambda line: terminal.console(err=True).print(line, style="dim"),
    )
    shopping: set[asyncio.Task[None]] = set()

    def introduce(running: Pipeline) -> None:
        _introduce(running)
        shopping.add(asyncio.create_task(_shop(running, orders, seed)))

    code = asyncio.run(until_told(plan, pipeline(plan, None if port_base else SHOP_PORT), introduce))
    if code is not ExitCode.DONE:
        raise typer.Exit(code)


async def _played(  # noqa: PLR0913 - as the command has them
    home: Path | None, port_base: int | None, orders: int, seed: int, each: int, *, quiet: bool
) -> demo.Told:
    loop = asyncio.get_running_loop()
    started = loop.time()
    screen = terminal.console(err=quiet)
    async with kept_or_fresh(home, "counterfoil-pipeline-") as place:
        plan = Plan(
            settings=config.load({}, None),  # what is set for real payments is no business of what is shown
            home=place,
            ports=Ports.from_base(port_base) if port_base else Ports.free(),
            sandbox=True,
            each=each,
            say=lambda line: screen.print(f"  {line}", style="dim"),
        )
        screen.print(f"Counterfoil behind a shop: {orders} orders through Kafka\n", style="bold")
        async with pipeline(plan) as running:
            screen.print(f"  Ready after {loop.time() - started:.1f} s.\n", style="dim")
            with demo.progress(screen) as moved:
                told = await demo.played(running, orders, seed, moved)
            if not quiet:
                demo.show(told)
        screen.print(f"\n  Everything is stopped again, {loop.time() - started:.1f} s in all.", style="dim")
    return told


def _introduce(running: Pipeline) -> None:
    """Print what runs where, and what to try next."""
    show_processes(running.here)
    plan = running.here.plan
    order = '{"customer_id": "kim", "email": "kim@shop.example", "payment_method": "pm_card_visa", '
    items = '"items": [{"sku": "tea-sencha", "quantity": 2}]}'
    terminal.console().print(
        f"\nThe shop is at {running.shop_url}, its log {plan.log(SHOP)}. In another window, try:\n\n"
        f"    curl {running.shop_url}/orders -H 'Content-Type: application/json' -d '{order}{items}'\n"
        f"    curl {running.shop_url}/books\n"
        f"    .venv/bin/python -m examples.shop.customers --orders 100 --seed 2 --shop {running.shop_url}\n\n"
        f"    COUNTERFOIL_HOME={plan.home} .venv/bin/counterfoil list\n"
        f"    KAFKA_BROKERS={running.here.own['KAFKA_BROKERS']} .venv/bin/counterfoil dlq list\n\n"
        "Ctrl-C stops everything.\n"
    )


async def _shop(running: Pipeline, orders: int, seed: int) -> None:
    """Let customers place orders, and say how they left."""
    screen = terminal.console()
    try:
        with demo.progress(screen) as moved:
            visits = await demo.placed(running.shop_url, orders, seed, moved)
    except CommandFailed as why:  # all else goes on; or it was told to stop meanwhile
        screen.print(f"  {why}")
        return
    screen.print("  " + ", ".join(f"{count} {end}" for end, count in sorted(visits.items())))


if __name__ == "__main__":
    sys.exit(ended("pipeline", app))
