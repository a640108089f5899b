"""The command `stripe-sandbox`.

Read with argparse: the promised start is half a second, and Typer spends a third of it on loading its own validation.
"""

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Final

EXIT_UNREACHABLE: Final = 69
"""EX_UNAVAILABLE of sysexits.h: the address cannot be listened on."""

EXIT_UNUSABLE: Final = 74
"""EX_IOERR: the file of state cannot be used."""

MOST_LATENCY_SECONDS: Final = 60.0

MOST_LAG_SECONDS: Final = 86_400.0

REMOTE: Final = ("clock", "faults", "hold", "trigger", "requests", "dump", "reset")
"""Commands for a sandbox that is running; named here too, so that starting one does not load them."""


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65_535:  # noqa: PLR2004 - TCP's own bound
        raise argparse.ArgumentTypeError("a port is a number from 0 to 65535")
    return number


def _latency(text: str) -> float:
    seconds = float(text)
    if not 0.0 <= seconds <= MOST_LATENCY_SECONDS:
        raise argparse.ArgumentTypeError(f"latency is a number of seconds from 0 to {MOST_LATENCY_SECONDS:.0f}")
    return seconds


def _lag(text: str) -> float:
    seconds = float(text)
    if not 0.0 <= seconds <= MOST_LAG_SECONDS:
        raise argparse.ArgumentTypeError(f"the lag is a number of seconds from 0 to {MOST_LAG_SECONDS:.0f}")
    return seconds


def _rate(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("a rate limit is a whole number of requests a second, from 1")
    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="stripe-sandbox",
        description="A stateful Stripe on this machine: point an SDK's API base at it and use any sk_test_ key.",
        epilog=f"For one that is running: stripe-sandbox {'|'.join(REMOTE)} [--url URL]; each has its own --help.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument("--port", type=_port, default=12111, help="0 takes a free one (default %(default)s)")
    parser.add_argument(
        "--key",
        action="append",
        default=[],
        help="a secret key to accept, repeatable (default: any sk_test_, sk_live_)",
    )
    parser.add_argument("--webhook-url", metavar="URL", help="deliver every test event to this address")
    parser.add_argument("--webhook-secret", metavar="WHSEC", help="signs those deliveries (default: made and printed)")
    parser.add_argument(
        "--latency", type=_latency, default=0.0, metavar="SECONDS", help="how long each call takes at least"
    )
    parser.add_argument(
        "--search-lag", type=_lag, default=30.0, metavar="SECONDS", help="how far searching is behind (default 30)"
    )
    parser.add_argument(
        "--rate-limit", type=_rate, metavar="N", help="answer 429 to more than N requests a second (default: to none)"
    )
    parser.add_argument(
        "--card-numbers", action="store_true", help="take test card numbers, which are refused otherwise"
    )
    parser.add_argument(
        "--data", type=Path, metavar="FILE", help="keep everything there over restarts (default: in memory)"
    )
    parser.add_argument("--json", action="store_true", help="say where it listens in one line of JSON")
    return parser


async def _serve(options: argparse.Namespace) -> None:
    """Listens until SIGTERM or SIGINT."""
    from stripe_sandbox.ids import Ids  # noqa: PLC0415 - `--help` answers without loading a server
    from stripe_sandbox.sandbox import Sandbox, Webhook  # noqa: PLC0415 - the same

    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    webhook = None
    if options.webhook_url is not None:
        webhook = Webhook(options.webhook_url, options.webhook_secret or Ids().new("whsec"))
    sandbox = Sandbox(
        keys=options.key,
        webhook=webhook,
        latency_seconds=options.latency,
        search_lag_seconds=options.search_lag,
        rate_limit=options.rate_limit,
        card_numbers=options.card_numbers,
        data=options.data,
    )
    async with sandbox.serve(options.host, options.port) as server:
        made = webhook.secret if webhook is not None and options.webhook_secret is None else None
        print(_announced(options, server.url, made), flush=True)  # noqa: T201 - standard output is this command's answer
        await stopped.wait()


def _announced(options: argparse.Namespace, url: str, made_secret: str | None) -> str:
    """Where it listens; a signing secret is told only if nobody else knows it."""
    if options.json:
        return json.dumps({"url": url} | ({"webhook_secret": made_secret} if made_secret else {}))
    line = f"Stripe sandbox at {url} (API 2024-06-20). Stop it with Ctrl-C."
    return f"{line}\nDeliveries to {options.webhook_url} are signed with {made_secret}" if made_secret else line


def _loop_factory() -> "type[asyncio.AbstractEventLoop] | None":
    """Where uvloop is installed, its loop: less CPU for each call."""
    try:
        import uvloop  # noqa: PLC0415 - optional, and nothing else needs it
    except ImportError:
        return None
    return uvloop.Loop


def main() -> None:
    """Runs the command.

    Exits 0 when told to stop, 2 on a usage error, 69 when it cannot listen or reach, 74 when its file of state cannot
    be used.
    """
    if sys.argv[1:] and sys.argv[1] in REMOTE:
        from stripe_sandbox import remote  # noqa: PLC0415 - the server has no use for it

        sys.exit(remote.run(sys.argv[1:]))
    parser = _parser()
    options = parser.parse_args()
    if options.webhook_secret is not None and options.webhook_url is None:
        parser.error("--webhook-secret needs --webhook-url")
    from stripe_sandbox.state_file import UnusableFileError  # noqa: PLC0415 - `--help` answers without SQLite

    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve(options))
    except UnusableFileError as error:
        sys.exit(_unusable(error))
    except OSError as error:
        sys.exit(_unreachable(f"{options.host}:{options.port}", error))


def _unusable(error: Exception) -> int:
    print(error, file=sys.stderr)  # noqa: T201 - for whoever started it
    return EXIT_UNUSABLE


def _unreachable(address: str, error: OSError) -> int:
    print(f"Cannot listen on {address}: {error.strerror}", file=sys.stderr)  # noqa: T201 - for whoever started it
    return EXIT_UNREACHABLE
