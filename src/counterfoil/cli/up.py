"""`counterfoil up`: everything on this machine, until interrupted."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from counterfoil.cli import terminal
from counterfoil.cli.exits import ExitCode
from counterfoil.cli.ports import Ports
from counterfoil.config import load_from_process

if TYPE_CHECKING:
    from counterfoil.cli.installation import Installation, Plan

_Running = TypeVar("_Running")

PORT_BASE_MAX = 65526
"""The sandbox's port is nine above the base."""

MOST_OF_EACH = 3
"""An endpoint signs with one secret, and a receiver takes three."""

PortBase = Annotated[
    int | None, typer.Option(min=1, max=PORT_BASE_MAX, help="First of ten ports to use instead of 8080 … and 12111.")
]
Home = Annotated[str, typer.Option(help="Where everything is kept. [default: COUNTERFOIL_HOME, else ./.counterfoil]")]


def up(  # noqa: PLR0913 - each is an option of its own
    *,
    port_base: PortBase = None,
    home: Home = "",
    sandbox: Annotated[
        bool, typer.Option("--sandbox/--no-sandbox", help="The Stripe sandbox, or Stripe itself (STRIPE_KEY …).")
    ] = True,
    kafka: Annotated[
        bool, typer.Option("--kafka", help="A Kafka too, where KAFKA_BROKERS names none, and the dispatcher.")
    ] = False,
    each: Annotated[int, typer.Option(min=1, max=MOST_OF_EACH, help="How many of every role.")] = 1,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show what every process logs.")] = False,
) -> None:
    """Run everything on this machine until interrupted.

    Every role, a PostgreSQL, a Stripe sandbox and a mailbox of its own; the other commands then find the gateway by
    themselves.
    """
    settings = load_from_process(None)

    from counterfoil.cli.installation import Plan

    plan = Plan(
        settings=settings,
        home=(Path(home) if home else settings.counterfoil_home).absolute(),
        ports=Ports.from_base(port_base) if port_base else Ports(),
        sandbox=sandbox,
        kafka=kafka,
        each=each,
        say=lambda line: terminal.console(err=True).print(line, style="dim"),
        echo_logs=verbose,
    )

    import asyncio

    from counterfoil.cli.installation import installation

    code = asyncio.run(until_told(plan, installation(plan), _introduce))
    if code is not ExitCode.DONE:
        raise typer.Exit(code)


async def until_told(
    plan: "Plan", running: AbstractAsyncContextManager[_Running], introduce: Callable[[_Running], object]
) -> ExitCode:
    """Run the plan until SIGINT or SIGTERM, and return the exit code; once it runs, it is introduced."""
    import asyncio
    import signal

    myself = asyncio.current_task()
    assert myself is not None
    told: list[signal.Signals] = []
    ready = False
    loop = asyncio.get_running_loop()

    def tell(number: signal.Signals) -> None:
        if not told:
            plan.say("Stopping: every role finishes what is in hand …")
            myself.cancel()
        told.append(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, tell, number)
    try:
        async with running as here:
            ready = True
            introduce(here)
            await loop.create_future()
    except asyncio.CancelledError:
        if not told:
            raise
    plan.say("Stopped.")
    return ExitCode.DONE if ready or told[0] is signal.SIGTERM else ExitCode.INTERRUPTED


def _introduce(here: "Installation") -> None:
    """Print what runs where, and what to try next."""
    show_processes(here)
    screen = terminal.console()
    screen.print("\nCounterfoil is up. In another window, try:\n", style="bold")
    for command, what in (
        ("counterfoil pay 19.99 EUR --card visa --watch", "a payment that succeeds"),
        ("counterfoil pay 5.00 EUR --card declined", "one that is declined"),
        ("counterfoil pay 7.50 EUR --email kim@shop.example", "one that its customer is told of"),
        ("counterfoil mail list", "what customers were told"),
        ("counterfoil list", "all of them"),
        ("counterfoil events --follow", "every fact as it is published"),
    ):
        screen.print(f"    {command:<50} {what}")
    screen.print(
        f"\nToken of the gateway (the commands find it by themselves): {here.token.reveal()}\n"
        "Ctrl-C stops everything.\n"
    )


def show_processes(here: "Installation") -> None:
    """Print what runs where, and its log."""
    plan = here.plan
    database = str(plan.home) if here.embedded else "DATABASE_URL"
    rows: list[list[str]] = [[seat.name, seat.url, str(plan.log(seat.name))] for seat in here.seats]
    if plan.sandbox:
        rows.append(["mailbox", plan.ports.url("mailbox"), str(plan.log("mailbox"))])
        rows.append(["stripe sandbox", plan.ports.url("sandbox"), str(plan.log("sandbox"))])
    if plan.kafka:
        log = str(plan.home / "kafka" / "kafka.log") if plan.own_broker else ""
        rows.append(["kafka", here.own["KAFKA_BROKERS"], log])
    rows.append(["postgresql", database, str(plan.home / "postgres.log") if here.embedded else ""])
    terminal.console().print()
    terminal.print_table(["what", "where", "its log"], rows)
