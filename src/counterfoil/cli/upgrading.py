"""`counterfoil upgrade-webhook`: another endpoint at Stripe takes the place of ours, and no event is lost."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Final

import typer

from counterfoil.cli import sandbox_settings
from counterfoil.cli.exits import CommandFailed, Unreachable, WrongUsage
from counterfoil.config import STRIPE_API_VERSION, Settings, load_from_process
from counterfoil.domain.errors import Misconfigured

if TYPE_CHECKING:
    from counterfoil.processors.stripe.account import Account, Endpoint

_SAY: Final = "until then Stripe's deliveries to it are refused and come again, while the present endpoint goes on"


def upgrade_webhook(
    *,
    url: Annotated[
        str, typer.Option(help="Where our receiver is. [default: PUBLIC_URL, else where Stripe delivers]")
    ] = "",
    finish: Annotated[bool, typer.Option("--finish", help="Delete the old one, once the new one is heard.")] = False,
    roll_back: Annotated[bool, typer.Option("--roll-back", help="Delete the new one instead.")] = False,
    anyway: Annotated[bool, typer.Option("--anyway", help="Finish although events wait to be delivered.")] = False,
) -> None:
    """Put a webhook endpoint in our API version in the place of the one there is, with no event lost.

    A second endpoint is made at the same address, with all types that we read, and its secret is printed, once. Add it
    to STRIPE_WEBHOOK_SECRETS and restart the receivers: each event then comes twice and counts once. `--finish`
    deletes the old one when Stripe has delivered to both, `--roll-back` the new one. Where there is none, it makes
    the first.
    """
    import asyncio

    if finish and roll_back:
        raise WrongUsage("--finish and --roll-back are two ends of which one can be had")
    if anyway and not finish:
        raise WrongUsage("--anyway goes with --finish")
    settings = sandbox_settings.completed(load_from_process(None))
    where = url or settings.public_url

    async def do(account: "Account") -> None:
        if finish:
            await _finish(account, where, anyway=anyway)
        elif roll_back:
            await _roll_back(account, where)
        else:
            await _begin(account, where)

    asyncio.run(_at_stripe(settings, do))


async def _at_stripe(settings: Settings, do: "Callable[[Account], Awaitable[None]]") -> None:
    if settings.stripe_key is None:
        raise Misconfigured("STRIPE_KEY", "is missing: the endpoints of its account are changed with it")

    from counterfoil.processors.stripe.account import Account
    from counterfoil.roles.processor import open_processor

    async with open_processor(settings) as processor:
        with _told():
            await do(Account(processor.sdk))


@contextmanager
def _told() -> "Iterator[None]":
    from counterfoil.processors.stripe.account import NoAnswer, NotAllowed

    try:
        yield
    except NotAllowed as error:
        raise CommandFailed(f"our key may not change webhook endpoints, nor read events: {error}") from None
    except NoAnswer as error:
        raise Unreachable(f"Stripe did not do it: {error}") from None


async def _begin(account: "Account", where: str | None) -> None:
    from counterfoil.cli.examining import ours_of, route_at
    from counterfoil.processors.stripe.notices import HANDLED_EVENTS

    ours = ours_of(await account.endpoints(), where)
    under_way = [one for one in ours if one.replaces is not None]
    if under_way:
        raise CommandFailed(
            f"{under_way[0].id} is on its way to replace {under_way[0].replaces}: --finish or --roll-back"
        )
    if len(ours) > 1:
        ids = ", ".join(one.id for one in ours)
        raise CommandFailed(
            f"{ids} all lead to a receiver of ours: name one with --url, or delete all but one at Stripe"
        )
    old = ours[0] if ours else None
    if old is None and where is None:
        raise CommandFailed("no endpoint leads to a receiver of ours: say with --url where it is")
    address = old.url if old is not None else route_at(where or "")
    made, secret = await account.add_endpoint(
        address, HANDLED_EVENTS, STRIPE_API_VERSION, None if old is None else old.id
    )
    typer.echo(secret.reveal())
    if old is None:
        _explain(
            f"{made.id} delivers to {address}.",
            "This is the only time that its secret is shown: set STRIPE_WEBHOOK_SECRETS to it.",
        )
        return
    _explain(
        f"{made.id} is made beside {old.id}: the same address, and version {made.api_version}.",
        "This is the only time that its secret is shown. Set STRIPE_WEBHOOK_SECRETS to it and the present one, with a",
        f"comma between, and restart the receivers; {_SAY}.",
        "Then: counterfoil upgrade-webhook --finish (or --roll-back)",
    )


async def _finish(account: "Account", where: str | None, *, anyway: bool) -> None:
    from counterfoil.processors.stripe.notices import HANDLED_EVENTS

    new, old = _pair(await account.endpoints(), where)
    if old is not None:
        waiting = await account.latest_events(HANDLED_EVENTS, delivered=False)
        arrived = await account.latest_events(HANDLED_EVENTS, delivered=True)
        if not new.enabled:
            raise CommandFailed(f"{new.id} is disabled: enable it at Stripe, or --roll-back")
        if not any(event.created_at > new.created_at for event in arrived):
            raise CommandFailed(f"no event has been delivered to both since {new.id} was made: wait for a payment")
        if waiting and not anyway:
            raise CommandFailed(
                f"{len(waiting)} events wait to be delivered, the oldest is {waiting[-1].id}: Stripe tries again by "
                "itself, and --anyway does not wait"
            )
        await account.remove_endpoint(old.id)
    await account.settle_endpoint(new.id)
    _explain(
        f"{new.id} has taken the place of {new.replaces}, which is deleted.",
        "Take the old secret out of STRIPE_WEBHOOK_SECRETS, and restart the receivers.",
    )


async def _roll_back(account: "Account", where: str | None) -> None:
    new, old = _pair(await account.endpoints(), where)
    if old is None or not old.enabled:
        state = "is deleted" if old is None else "is disabled"
        raise CommandFailed(f"{new.replaces} {state}: without {new.id} nothing would be delivered")
    await account.remove_endpoint(new.id)
    _explain(
        f"{new.id} is deleted, and {old.id} goes on as before.",
        "Take the secret of the deleted one out of STRIPE_WEBHOOK_SECRETS, and restart the receivers.",
    )


def _pair(endpoints: "Sequence[Endpoint]", where: str | None) -> "tuple[Endpoint, Endpoint | None]":
    """Return the endpoint that is to take another's place, and that one, unless it is gone."""
    from counterfoil.cli.examining import ours_of

    new = [one for one in ours_of(endpoints, where) if one.replaces is not None]
    if len(new) != 1:
        raise CommandFailed(
            "no upgrade is under way" if not new else "several upgrades are under way: name one with --url"
        )
    return new[0], next((one for one in endpoints if one.id == new[0].replaces), None)


def _explain(*lines: str) -> None:
    for line in lines:
        typer.echo(line, err=True)
