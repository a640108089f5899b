"""The commands by name, and how each ending becomes an exit code.

Only Typer, the settings and the commands' signatures are imported here: whatever a command needs to do its work,
it imports when it is called, so that `--help` is quick.
"""

import re
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

import typer

from counterfoil.cli import (
    asyncapi,
    catching_up,
    customers,
    dead_letters,
    demo,
    doctor,
    events,
    holds,
    mail,
    migrating,
    notices,
    orders,
    parked,
    payments,
    reconcile,
    refunds,
    restore,
    reviews,
    roles,
    settings,
    statuses,
    step_functions,
    tokens,
    topics,
    tour,
    up,
    upgrading,
)
from counterfoil.cli.exits import EXPECTED, CommandFailed, ExitCode, WrongUsage, exit_code_for, first_cause
from counterfoil.domain.errors import CounterfoilError

_SECRET_SHAPE = re.compile(r"(?:[sr]k_(?:test|live)|whsec)_[^\s,]{8,}")

app = typer.Typer(
    name="counterfoil",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.callback()
def counterfoil() -> None:
    """Takes payment orders and sees each one through to money and a record of it."""


app.command("pay")(payments.pay)
app.command("show")(payments.show)
app.command("explain")(payments.explain)
app.command("try-again")(payments.try_again)
app.command("capture")(holds.capture)
app.command("cancel")(holds.cancel)
app.command("review")(reviews.review)
app.command("refund")(refunds.refund)
app.command("cancel-order")(orders.cancel_order)
app.command("list")(payments.list_payments)
app.command("status")(statuses.status)
app.command("events")(events.events)
app.add_typer(notices.notices, name="notices")
app.command("reconcile")(reconcile.reconcile)
app.add_typer(parked.parked, name="parked")
app.command("catch-up")(catching_up.catch_up)
app.add_typer(mail.mail, name="mail")
app.command("demo")(demo.demo)
app.command("tour")(tour.tour)
app.command("up")(up.up)
app.command("run")(roles.run)
app.command("migrate")(migrating.migrate)
app.add_typer(restore.restore, name="restore")
app.add_typer(customers.customer, name="customer")
app.add_typer(tokens.token, name="token")
app.add_typer(topics.topics, name="topics")
app.add_typer(dead_letters.dlq, name="dlq")
app.add_typer(step_functions.step_functions, name="step-functions")
app.command("asyncapi")(asyncapi.asyncapi)
app.command("config")(settings.config)
app.command("doctor")(doctor.doctor)
app.command("upgrade-webhook")(upgrading.upgrade_webhook)


def main() -> NoReturn:
    """Run the command named on the command line and exit with one of `ExitCode`."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal that cannot show a sign gets "?" instead of a traceback
            stream.reconfigure(errors="replace")
    sys.exit(exit_code_of(sys.argv[1:]))


def exit_code_of(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; whatever was expected to go wrong is one line on stderr."""

    def run() -> None:
        _refuse_unfit(arguments)
        app(list(arguments), prog_name="counterfoil")

    return ended("counterfoil", run)


def ended(program: str, run: Callable[[], object]) -> int:
    """Run something and return the exit code of how it ended; what was expected to go wrong is one line on stderr."""
    try:
        run()
    except EXPECTED as why:
        return _told(program, why)
    except BaseExceptionGroup as raised:
        cause = first_cause(raised)
        if not isinstance(cause, EXPECTED):
            raise
        return _told(program, cause)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else ExitCode.DONE
    return ExitCode.DONE


def _refuse_unfit(arguments: Sequence[str]) -> None:
    for argument in arguments:
        if any("\ud800" <= sign <= "\udfff" for sign in argument):
            raise WrongUsage("an argument is not valid UTF-8")
        if _SECRET_SHAPE.search(argument):
            raise WrongUsage(
                "an argument holds a secret, which every user of this machine can see in the list of processes: "
                "put it into the environment"
            )


def _told(program: str, why: CommandFailed | CounterfoilError) -> int:
    typer.echo(f"{program}: {why}", err=True)
    return exit_code_for(why)
