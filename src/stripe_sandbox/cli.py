"""The command `stripe-sandbox`."""

import asyncio
import json
import signal
from typing import Annotated

import typer

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def serve(  # noqa: PLR0913 - its options
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 12111,
    key: Annotated[
        list[str] | None, typer.Option(help="A secret key to accept (repeatable); without, any sk_test_… or sk_live_….")
    ] = None,
    webhook_url: Annotated[str | None, typer.Option(help="Deliver every test event to this address.")] = None,
    webhook_secret: Annotated[str | None, typer.Option(help="The whsec_… that signs those deliveries.")] = None,
    latency: Annotated[float, typer.Option(min=0.0, max=60.0, help="Seconds that each call takes at least.")] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="Say where it listens in one line of JSON.")] = False,
) -> None:
    """A stateful Stripe on this machine: point an SDK's API base at it and use any sk_test_ key."""
    from stripe_sandbox.ids import Ids  # noqa: PLC0415 - `--help` answers without loading a server
    from stripe_sandbox.sandbox import Sandbox, Webhook  # noqa: PLC0415 - the same

    if webhook_secret is not None and webhook_url is None:
        raise typer.BadParameter("--webhook-secret needs --webhook-url")
    webhook = None if webhook_url is None else Webhook(webhook_url, webhook_secret or Ids().new("whsec"))
    sandbox = Sandbox(keys=key or (), webhook=webhook, latency_seconds=latency)

    async def run() -> None:
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
        async with sandbox.serve(host, port) as server:
            announce(server.url, webhook.secret if webhook is not None and webhook_secret is None else None)
            await stopped.wait()

    def announce(url: str, made_secret: str | None) -> None:
        """Says where it listens; a signing secret is shown only if nobody else knows it."""
        if as_json:
            typer.echo(json.dumps({"url": url} | ({"webhook_secret": made_secret} if made_secret else {})))
            return
        typer.echo(f"Stripe sandbox at {url} (API 2024-06-20). Stop it with Ctrl-C.")
        if made_secret:
            typer.echo(f"Deliveries to {webhook_url} are signed with {made_secret}")

    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(run())
    except OSError as error:
        typer.echo(f"Cannot listen on {host}:{port}: {error.strerror}", err=True)
        raise typer.Exit(69) from None


def _loop_factory() -> "type[asyncio.AbstractEventLoop] | None":
    """Where uvloop is installed, its loop: less CPU for each call."""
    try:
        import uvloop  # noqa: PLC0415 - optional, and nothing else needs it
    except ImportError:
        return None
    return uvloop.Loop


def main() -> None:
    """Runs the command."""
    app()


__all__ = ["main"]
