"""`counterfoil topics`: the topics at the broker, made and compared with what they should be."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from counterfoil.cli import terminal
from counterfoil.cli.exits import CommandFailed, ExitCode
from counterfoil.config import Settings, load_from_process
from counterfoil.domain.errors import Misconfigured

if TYPE_CHECKING:
    from counterfoil.bus.topics import Found

topics = typer.Typer(no_args_is_help=True, help="The topics at KAFKA_BROKERS: made, and checked.")

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object for each topic instead.")]


@topics.command()
def create(
    *,
    replicas: Annotated[int, typer.Option(min=1, help="Brokers that keep each message; 3 where money counts.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Make the topics that are missing; those that are there are left as they are."""
    import asyncio

    from counterfoil.bus import topics as at_broker

    config = kafka_config(load_from_process(None))
    try:
        made = asyncio.run(at_broker.create(config, replicas))
    except at_broker.NotMade as why:
        raise CommandFailed(f"the broker does not make {why}") from None
    if as_json:
        terminal.print_json({"made": made})
        return
    for name in made:
        typer.echo(f"made {name}")
    if not made:
        typer.echo("all topics are there")


@topics.command()
def check(*, as_json: AsJson = False) -> None:
    """Compare the topics with what they should be; exit 1 where one is missing or differs."""
    import asyncio

    from counterfoil.bus import topics as at_broker

    found = asyncio.run(at_broker.check(kafka_config(load_from_process(None))))
    if as_json:
        rows = [{"topic": one.name, "missing": one.missing, "differs": list(one.differs)} for one in found]
        terminal.print_json(rows)
    else:
        terminal.print_table(["topic", "state"], [[one.name, _state(one)] for one in found])
    if any(one.missing or one.differs for one in found):
        raise typer.Exit(ExitCode.REFUSED)


def _state(found: "Found") -> str:
    if found.missing:
        return "missing: counterfoil topics create"
    return "; ".join(found.differs) or "ok"


def kafka_config(settings: Settings) -> dict[str, Any]:
    """Return how a client reaches the brokers of the settings; its own lines are no answer of a command's."""
    if settings.kafka_brokers is None:
        raise Misconfigured("KAFKA_BROKERS", "is missing: where Kafka is")
    from counterfoil.roles.kafka import config_of
    from counterfoil.runtime import log

    log.configure("warning")
    return config_of(settings)
