"""`counterfoil step-functions`: the machine of AWS Step Functions deployed, started, looked at, and taken away."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from counterfoil.cli import terminal
from counterfoil.cli.cards import TEST_CARDS, payment_method_of
from counterfoil.cli.exits import CommandFailed, ExitCode, WrongUsage
from counterfoil.cli.up import Home, PortBase

if TYPE_CHECKING:
    from counterfoil.workflow.deploying import Deployment
    from counterfoil.workflow.resources import Names

step_functions = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Payments that a machine of AWS Step Functions drives."
)

LIST_MAX: Final = 100
"""What a person can look through."""

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,60}")
_ITEM: Final = re.compile(r"(?P<sku>.+):(?P<quantity>[1-9]\d{0,8})")
_TIMEOUT: Final = re.compile(r"(?P<what>payment|heartbeat|effect|retry)=(?P<seconds>[1-9]\d{0,7})")

_Name = Annotated[str, typer.Option(help="What all that is made at AWS begins with.")]
_AsJson = Annotated[bool, typer.Option("--json", help="JSON instead, for another program.")]
_Execution = Annotated[str, typer.Argument(help="The event's id, or the execution's name or ARN.")]


@step_functions.command()
def deploy(
    *,
    name: _Name = "counterfoil",
    role_arn: Annotated[
        str, typer.Option(help="A role for the machine that somebody else has made; then IAM is left alone.")
    ] = "",
    as_json: _AsJson = False,
) -> None:
    """Make the queues, the roles' policies and the machine at AWS, or bring them up to date."""
    from counterfoil.workflow import account, deploying

    names = _names(name)
    with account.opened() as at_aws:
        done = deploying.deploy(at_aws, names, role_arn=role_arn or None)
    if as_json:
        terminal.print_json(_as_json(done))
        return
    terminal.print_table(["what", "name", ""], [[one.what, one.name, one.done] for one in done.made])
    _tell_what_is_next(done)


@step_functions.command()
def start(  # noqa: PLR0913  each is an option of the command
    *,
    amount: Annotated[int, typer.Option(min=1, help="In the currency's minor units: 1999 for 19.99.")],
    currency: Annotated[str, typer.Option(help="Three letters: EUR")],
    order: Annotated[str, typer.Option(help="The order's id; made up when left out.")] = "",
    event: Annotated[str, typer.Option(help="The same id never starts or charges twice; made up when left out.")] = "",
    customer: Annotated[str, typer.Option(help="The customer's id.")] = "",
    email: Annotated[str, typer.Option(help="Where the customer is told; without it nobody is.")] = "",
    locale: Annotated[str, typer.Option(help="The customer's language: de, fr-CA.")] = "",
    card: Annotated[
        str,
        typer.Option(
            "--card", "--payment-method", help=f"A test card ({', '.join(TEST_CARDS)}) or a method's id (pm_…)."
        ),
    ] = "",
    method_type: Annotated[
        str, typer.Option(help="The method's type: card, sepa_debit, … The machine waits longer for some.")
    ] = "card",
    mandate: Annotated[str, typer.Option(help="The id of a mandate, which bank debits need.")] = "",
    off_session: Annotated[
        bool, typer.Option("--off-session", help="The customer is not there to approve it.")
    ] = False,
    item: Annotated[list[str] | None, typer.Option(help="SKU:QUANTITY; repeat it for several.")] = None,
    timeout: Annotated[
        list[str] | None, typer.Option(help="payment=, heartbeat=, effect= or retry=SECONDS; repeat it for several.")
    ] = None,
    name: _Name = "counterfoil",
    as_json: _AsJson = False,
) -> None:
    """Start the machine for one payment and print the execution's ARN; the same event again prints the same one."""
    from counterfoil.runtime.clock import SystemClock
    from counterfoil.runtime.ids import TimeOrderedIds
    from counterfoil.workflow import account, deploying, executions

    ids = TimeOrderedIds(SystemClock())
    given: dict[str, Any] = {
        "event_id": event or str(ids.new()),
        "order_id": order or f"order-{ids.new().hex[-12:]}",
        "amount": amount,
        "currency": currency,
        "customer": _said({"id": customer, "email": email, "locale": locale}),
        "payment_method": {"type": method_type, **_said({"id": payment_method_of(card) if card else ""})},
        "mandate": mandate,
        "off_session": off_session,
        "items": [_item(one) for one in item or ()],
        "timeouts": _timeouts(timeout or ()),
    }
    names = _names(name)
    with account.opened() as at_aws:
        started = executions.start(at_aws, deploying.machine_arn(at_aws, names), _said(given))
    if as_json:
        terminal.print_json({"execution": started.arn, "name": started.name, "again": started.again})
        return
    typer.echo(started.arn)
    if started.again:
        typer.echo("It was started before, with the same input.", err=True)


@step_functions.command()
def status(
    execution: Annotated[
        str, typer.Argument(help="The event's id, or the execution's name or ARN; left out, the latest are listed.")
    ] = "",
    *,
    limit: Annotated[int, typer.Option(min=1, max=LIST_MAX, help="At most so many of the latest.")] = 20,
    name: _Name = "counterfoil",
    as_json: _AsJson = False,
) -> None:
    """Show how an execution stands, or the machine's latest ones and what waits on its queue."""
    from counterfoil.workflow import account, deploying, executions

    names = _names(name)
    with account.opened() as at_aws:
        machine = deploying.machine_arn(at_aws, names)
        if execution:
            found = executions.status(at_aws, executions.arn_of(machine, execution))
        else:
            latest = executions.latest(at_aws, machine, limit)
            found = {"machine": machine, "queue": dict(deploying.waiting(at_aws, names)), "executions": latest}
    if as_json:
        terminal.print_json(found)
    elif execution:
        terminal.print_fields([(label, _text(found[label])) for label in found if found[label] is not None])
    else:
        _print_overview(found)


@step_functions.command()
def history(execution: _Execution, *, name: _Name = "counterfoil", as_json: _AsJson = False) -> None:
    """Show what an execution went through. Task tokens are left out: whoever has one may answer for the worker."""
    from counterfoil.workflow import account, deploying, executions

    names = _names(name)
    with account.opened() as at_aws:
        arn = executions.arn_of(deploying.machine_arn(at_aws, names), execution)
        events = list(executions.history(at_aws, arn))
    if as_json:
        terminal.print_json([whole for _, whole in events])
        return
    rows = [
        [
            str(step.id),
            step.at.isoformat(timespec="milliseconds"),
            step.type,
            step.state or "",
            _plain(step.detail or ""),
        ]
        for step, _ in events
    ]
    terminal.print_table(["", "at", "event", "state", "why"], rows)


@step_functions.command()
def destroy(
    *,
    name: _Name = "counterfoil",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: _AsJson = False,
) -> None:
    """Take away what `deploy` has made; payments that machines drive go on with the worker."""
    from counterfoil.workflow import account, deploying

    names = _names(name)
    with account.opened() as at_aws:
        if not yes:
            _ask(deploying.waiting(at_aws, names), names)
        gone = deploying.destroy(at_aws, names)
    if as_json:
        terminal.print_json({"gone": [{"what": one.what, "name": one.name, "done": one.done} for one in gone]})
        return
    for one in gone:
        typer.echo(f"{one.done} the {one.what} {one.name}" + ("; it is still attached" if one.done == "left" else ""))
    if not gone:
        typer.echo(f"nothing of {names.name} is there")


@step_functions.command()
def demo(*, port_base: PortBase = None, home: Home = "") -> None:
    """Let a machine drive four payments on this machine, and show its history beside each payment's timeline.

    One succeeds, one is declined, one is declined and tried again, one waits for a bank. Everything that this needs is
    started, moto in the place of AWS, and stopped again: exit 0 only if the machine, our record and the sandbox agree.
    """
    import asyncio
    from pathlib import Path

    from counterfoil.cli.machine_demo import played

    if asyncio.run(played(Path(home).absolute() if home else None, port_base)):
        raise typer.Exit(ExitCode.REFUSED)


def _names(name: str) -> "Names":
    from counterfoil.workflow.resources import Names

    if not _NAME.fullmatch(name):
        raise WrongUsage("--name is up to 60 letters, digits, - and _")
    return Names(name)


def _said(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was said, without what was left out."""
    return {name: value for name, value in values.items() if value not in ("", False, [], {})}


def _item(text: str) -> dict[str, Any]:
    found = _ITEM.fullmatch(text)
    if found is None:
        raise WrongUsage("--item is SKU:QUANTITY, as shirt-m:2")
    return {"sku": found["sku"], "quantity": int(found["quantity"])}


def _timeouts(texts: Sequence[str]) -> dict[str, int]:
    found = [_TIMEOUT.fullmatch(text) for text in texts]
    if None in found:
        raise WrongUsage("--timeout is payment=, heartbeat=, effect= or retry=SECONDS, as payment=259200")
    return {f"{one['what']}_seconds": int(one["seconds"]) for one in found if one is not None}


def _as_json(done: "Deployment") -> dict[str, Any]:
    return {
        "machine": done.machine_arn,
        "queue_url": done.queue_url,
        "dead_letters_url": done.dead_letters_url,
        "role": done.role_arn,
        "role_policy": done.role_policy,
        "worker_policy": done.worker_policy,
        "worker_policy_arn": done.worker_policy_arn,
        "made": [{"what": one.what, "name": one.name, "done": one.done} for one in done.made],
    }


def _tell_what_is_next(done: "Deployment") -> None:
    typer.echo(f"\nThe machine is {done.machine_arn}")
    if done.worker_policy_arn is None:
        import json

        typer.echo("IAM was left alone. The machine's role needs this policy:")
        typer.echo(json.dumps(done.role_policy, indent=2))
        typer.echo("and the worker's role or user this one:")
        typer.echo(json.dumps(done.worker_policy, indent=2))
    else:
        typer.echo(f"Give the worker's role or user the policy {done.worker_policy_arn}")
    typer.echo(f"Start the worker with\nSTEP_FUNCTIONS_QUEUE_URL={done.queue_url}")


def _print_overview(found: Mapping[str, Any]) -> None:
    queue = found["queue"]
    dead = queue.get("dead_letters", 0)
    waits = f"{queue.get('waiting', 0)} waiting, {queue.get('in_hand', 0)} in hand"
    terminal.print_fields([("machine", found["machine"]), ("messages", waits), ("dead letters", str(dead))])
    if not found["executions"]:
        terminal.console().print("No execution was started.", style="dim")
        return
    columns = ["name", "status", "started_at", "stopped_at"]
    rows = [[one[column] or "" for column in columns] for one in found["executions"]]
    terminal.print_table(["execution", "status", "started", "stopped"], rows, unbroken=("execution",))


def _text(value: object) -> str:
    import json

    return _plain(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _plain(text: str) -> str:
    """Return what others have said without what a terminal would obey."""
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)


def _ask(waiting: Mapping[str, int], names: "Names") -> None:
    import sys

    lost = sum(waiting.values())
    question = f"Delete the machine, queues and policies of {names.name}, and {lost} messages with them?"
    if not sys.stdin.isatty():
        raise WrongUsage("say --yes: nobody is there to ask")
    if not typer.confirm(question):
        raise CommandFailed("nothing was deleted")
