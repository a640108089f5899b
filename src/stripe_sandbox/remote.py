"""The commands that speak to a running sandbox: clock, faults, hold, trigger, requests, dump, reset."""

import argparse
import http.client
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import ProxyHandler, Request, build_opener

from stripe_sandbox import durations
from stripe_sandbox.faults import EVENT_KINDS, KINDS, REQUEST_KINDS

DEFAULT_URL: Final = "http://127.0.0.1:12111"

EXIT_REFUSED: Final = 1
EXIT_USAGE: Final = 2
EXIT_UNREACHABLE: Final = 69
"""EX_UNAVAILABLE of sysexits.h: no sandbox answers there."""

PATIENCE_SECONDS: Final = 120.0
"""A long way of the clock with many deliveries takes its time."""


class _Refusal(Exception):
    """The sandbox said no; the message is its sentence."""


def _duration(text: str) -> float:
    try:
        return durations.seconds(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


class Sandbox:
    """A sandbox that runs somewhere, by its address.

    Args:
        url: an `http://host:port`.
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        # A proxy of the environment's knows nothing of this machine's own addresses.
        self._opener = build_opener(ProxyHandler({}))

    def ask(self, method: str, name: str, sent: Any = None, query: Mapping[str, Any] | None = None) -> Any:
        """What `/_sandbox/NAME` answers.

        Raises:
            _Refusal: it says no.
            OSError: nothing answers there.
        """
        address = f"{self._url}/_sandbox/{name}"
        if query:
            address += "?" + urlencode({key: value for key, value in query.items() if value is not None})
        body = None if sent is None else json.dumps(sent).encode()
        request = Request(address, body, {"Content-Type": "application/json"}, method=method)  # noqa: S310 - only http is let in
        try:
            with self._opener.open(request, timeout=PATIENCE_SECONDS) as answer:
                return json.load(answer)
        except HTTPError as error:
            raise _Refusal(_sentence(error)) from error
        except (URLError, http.client.HTTPException) as error:
            raise OSError(str(getattr(error, "reason", error))) from error
        except ValueError as error:
            raise _Refusal("What answers there is not a Stripe sandbox.") from error


def _sentence(error: HTTPError) -> str:
    try:
        return str(json.load(error)["error"])
    except (ValueError, KeyError, TypeError):
        return f"What answers there is not a Stripe sandbox: HTTP {error.code}."


def _clock(options: argparse.Namespace, sandbox: Sandbox) -> tuple[Any, Sequence[str]]:
    if options.action == "advance":
        answer = sandbox.ask("POST", "clock", {"advance_seconds": options.time})
    else:
        answer = sandbox.ask("GET", "clock")
    return answer, [f"{answer['now']:.3f} ({answer['offset_seconds']:.0f} s ahead of the machine)"]


def _faults(options: argparse.Namespace, sandbox: Sandbox) -> tuple[Any, Sequence[str]]:
    match options.action:
        case "add":
            names = ("method", "path", "idempotency_key", "event", "nth", "probability", "seed")
            fault = {name: value for name in names if (value := getattr(options, name)) is not None}
            fault |= dict(options.with_)
            if options.times is not None:
                fault["times"] = options.times or None
            answer = sandbox.ask("POST", "faults", [{"fault": options.kind, **fault}])
        case "load":
            answer = sandbox.ask("POST", "faults", _script(options.file))
        case "clear":
            answer = sandbox.ask("DELETE", f"faults/{options.id}" if options.id else "faults")
        case _:
            answer = sandbox.ask("GET", "faults")
    return answer, [_fault_line(fault) for fault in answer["faults"]] or ["No faults."]


def _script(file: str) -> Any:
    try:
        return json.loads(sys.stdin.read() if file == "-" else Path(file).read_text())
    except ValueError as error:
        raise _Refusal(f"{file} is not JSON: {error}") from error
    except OSError as error:
        raise _Refusal(f"{file} cannot be read: {error.strerror}") from error


def _fault_line(fault: Mapping[str, Any]) -> str:
    counted = {"id", "fault", "met", "struck"}
    told = " ".join(f"{name}={value}" for name, value in fault.items() if name not in counted and value is not None)
    return f"{fault['id']}  {fault['fault']}  {told}  met {fault['met']}, struck {fault['struck']}"


def _hold(options: argparse.Namespace, sandbox: Sandbox) -> tuple[Any, Sequence[str]]:
    match options.action:
        case "add":
            names = ("method", "path", "idempotency_key", "when", "seconds")
            hold = {name: value for name in names if (value := getattr(options, name)) is not None}
            if options.times is not None:
                hold["times"] = options.times or None
            answer = sandbox.ask("POST", "hold", hold)
            return answer, [f"{answer['id']} holds {answer['when']} the work."]
        case "release":
            answer = sandbox.ask("DELETE", f"hold/{options.id}" if options.id else "hold")
        case _:
            answer = sandbox.ask("GET", "hold")
    lines = [f"{hold['id']}  {hold['method'] or 'any'} {hold['path'] or '**'}" for hold in answer["holds"]]
    lines += [f"held by {one['hold']}: {one['request']}  {one['method']} {one['path']}" for one in answer["held"]]
    return answer, lines or ["Nothing is held."]


def _trigger(options: argparse.Namespace, sandbox: Sandbox) -> tuple[Any, Sequence[str]]:
    if options.event is None:
        answer = sandbox.ask("GET", "trigger")
        return answer, answer["events"]
    answer = sandbox.ask("POST", "trigger", {"event": options.event})
    return answer, [f"{event['id']}  {event['type']}  {event['data']['object']['id']}" for event in answer["events"]]


def _requests(options: argparse.Namespace, sandbox: Sandbox) -> tuple[Any, Sequence[str]]:
    query = {"path": options.path, "idempotency_key": options.idempotency_key, "limit": options.limit}
    answer = sandbox.ask("GET", "requests", query=query)
    return answer, [
        f"{entry['id']}  {entry['status'] or 'no answer'}  {entry['method']} {entry['path']}"
        + "".join(f"  {name}={entry[name]}" for name in ("idempotency_key", "error_code", "fault") if entry[name])
        + ("  replayed" if entry["replayed"] else "")
        for entry in answer["requests"]
    ] or ["No requests."]


def _dump(options: argparse.Namespace, sandbox: Sandbox) -> tuple[Any, Sequence[str]]:
    _ = options
    answer = sandbox.ask("GET", "dump")
    return answer, [json.dumps(answer, indent=2)]


def _reset(options: argparse.Namespace, sandbox: Sandbox) -> tuple[Any, Sequence[str]]:
    _ = options
    return sandbox.ask("POST", "reset"), ["As if it had just started."]


Work = Callable[[argparse.Namespace, Sandbox], tuple[Any, Sequence[str]]]

COMMANDS: Final[Mapping[str, tuple[Work, str]]] = {
    "clock": (_clock, "show the sandbox's time, or advance it"),
    "faults": (_faults, "list, add, load or clear faults"),
    "hold": (_hold, "hold requests in mid-air, list them, release them"),
    "trigger": (_trigger, "make an event happen; without one, list those it knows"),
    "requests": (_requests, "list the requests it has had"),
    "dump": (_dump, "print every object as JSON"),
    "reset": (_reset, "forget everything"),
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="stripe-sandbox", description="Speaks to a sandbox that is running.")
    commands = parser.add_subparsers(dest="command", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--url", default=argparse.SUPPRESS, help=f"where the sandbox listens (default {DEFAULT_URL})")
    shared.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print the answer as JSON")
    made = {
        name: commands.add_parser(name, parents=[shared], help=sentence, description=sentence.capitalize() + ".")
        for name, (_, sentence) in COMMANDS.items()
    }
    which = argparse.ArgumentParser(add_help=False, parents=[shared])
    which.add_argument("--method", choices=["GET", "POST", "DELETE"])
    which.add_argument("--path", help="such as '/v1/payment_intents/*/confirm'; ** is anything")
    which.add_argument("--key", dest="idempotency_key", help="idempotency key, with * and **")
    which.add_argument("--times", type=int, help="how many it takes (default 1; 0 is all)")

    clock = made["clock"].add_subparsers(dest="action")
    advance = clock.add_parser("advance", parents=[shared], help="everything due on the way happens in order")
    advance.add_argument("time", type=_duration, help="such as 90, 45s, 10m, 2h, 3d")
    _add_fault_parsers(made["faults"].add_subparsers(dest="action"), shared, which)
    hold = made["hold"].add_subparsers(dest="action")
    add = hold.add_parser("add", parents=[which], help="hold the next request that fits")
    add.add_argument("--when", choices=["before", "after"], help="before the work (default) or after it")
    add.add_argument("--seconds", type=_duration, help="let each go by itself after so long")
    hold.add_parser("release", parents=[shared], help="let go").add_argument("id", nargs="?", help="of one hold")
    made["trigger"].add_argument("event", nargs="?", help="such as payment_intent.succeeded")
    made["requests"].add_argument("--path", help="only those to this path")
    made["requests"].add_argument("--key", dest="idempotency_key", help="only those with this idempotency key")
    made["requests"].add_argument("--limit", type=int, help="the last so many")
    return parser


def _add_fault_parsers(actions: Any, shared: argparse.ArgumentParser, which: argparse.ArgumentParser) -> None:
    kinds = "requests: " + ", ".join(REQUEST_KINDS) + "; events: " + ", ".join(EVENT_KINDS)
    add = actions.add_parser("add", parents=[which], help="add one to the script", epilog=f"Kinds for {kinds}.")
    add.add_argument("kind", choices=list(KINDS), metavar="KIND", help="what goes wrong")
    add.add_argument("--event", help="for events: their type, with *")
    add.add_argument("--nth", type=int, help="begin with the n-th")
    add.add_argument("--probability", type=float, help="from 0 to 1")
    add.add_argument("--seed", type=int, help="of the probability")
    add.add_argument(
        "--with",
        dest="with_",
        type=_pair,
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="a field of this kind, such as status=503 or effect=later",
    )
    load = actions.add_parser("load", parents=[shared], help="add a JSON list of them")
    load.add_argument("file", help="- is standard input")
    actions.add_parser("clear", parents=[shared], help="take all out, or one").add_argument("id", nargs="?")


def _pair(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not FIELD=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _print(line: str, *, to_errors: bool = False) -> None:
    print(line, file=sys.stderr if to_errors else sys.stdout)


def run(arguments: Sequence[str]) -> int:
    """Carries a command out and prints its answer.

    Returns:
        the exit code: 0, 1 refused, 2 usage (argparse ends by itself), 69 no sandbox answers.
    """
    options = _parser().parse_args(arguments)
    url = getattr(options, "url", DEFAULT_URL)
    if not url.startswith(("http://", "https://")):
        _print(f"--url is an address such as {DEFAULT_URL}, not {url!r}.", to_errors=True)
        return EXIT_USAGE
    try:
        answer, lines = COMMANDS[options.command][0](options, Sandbox(url))
    except _Refusal as refusal:
        _print(str(refusal), to_errors=True)
        return EXIT_REFUSED
    except OSError as error:
        _print(f"No sandbox answers at {url} ({error}). Start one with: stripe-sandbox, or say --url.", to_errors=True)
        return EXIT_UNREACHABLE
    _print(json.dumps(answer) if getattr(options, "json", False) else "\n".join(lines))
    return 0
