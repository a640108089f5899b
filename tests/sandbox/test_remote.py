import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

HEADERS = {"Authorization": "Bearer sk_test_x", "Idempotency-Key": "k"}
MODULE = [sys.executable, "-m", "stripe_sandbox"]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A sandbox in a process of its own."""
    with subprocess.Popen([*MODULE, "--port", "0", "--json"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["url"]
        process.terminate()


@pytest.fixture(autouse=True)
def _fresh(url: str) -> None:
    _run(url, "reset")


def _ended(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run([*MODULE, *arguments], input=stdin, capture_output=True, text=True, timeout=30, check=False)


def _run(url: str, *arguments: str, stdin: str = "") -> str:
    ended = _ended(*arguments, "--url", url, stdin=stdin)
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


def _json(url: str, *arguments: str) -> Any:
    return json.loads(_run(url, *arguments, "--json"))


def test_the_clock_is_shown_and_advanced(url: str) -> None:
    """By days and hours as people write them, from where it was."""
    before = _json(url, "clock")
    after = _json(url, "clock", "advance", "1d2h")

    assert (before["offset_seconds"], round(after["offset_seconds"])) == (0, 93_600)
    assert "93600 s ahead of the machine" in _run(url, "clock")


def test_a_triggered_event_shows_in_the_dump(url: str) -> None:
    """The trigger tells what it made; the dump holds it."""
    told = _run(url, "trigger", "payment_intent.succeeded")
    dump = json.loads(_run(url, "dump"))

    assert [line.split()[1] for line in told.splitlines()] == [event["type"] for event in dump["test"]["events"]]
    assert dump["test"]["payment_intents"][0]["status"] == "succeeded"
    assert "payment_intent.succeeded" in _run(url, "trigger").splitlines()


def test_faults_are_added_loaded_listed_and_cleared(url: str, tmp_path: Path) -> None:
    """One by its options, many from a file or standard input; out again by id or all."""
    script = tmp_path / "script.json"
    script.write_text('[{"fault": "reset"}, {"fault": "event_twice", "event": "charge.*"}]')

    added = _json(url, "faults", "add", "error", "--path", "/v1/charges", "--times", "0", "--with", "status=503")
    _run(url, "faults", "load", str(script))
    _run(url, "faults", "load", "-", stdin='{"fault": "rate_limit"}')
    _run(url, "faults", "clear", added["faults"][0]["id"])
    listed = _json(url, "faults")["faults"]
    shown = _run(url, "faults")
    _run(url, "faults", "clear")

    assert (added["faults"][0]["status"], added["faults"][0]["times"]) == (503, None)
    assert [fault["fault"] for fault in listed] == ["reset", "event_twice", "rate_limit"]
    assert "event_twice  event=charge.*" in shown
    assert _run(url, "faults") == "No faults.\n"


def test_holds_are_put_listed_and_released(url: str) -> None:
    """A hold has a name by which it is released; so have all together none."""
    added = _json(url, "hold", "add", "--path", "/v1/charges", "--when", "after", "--seconds", "1m")
    told = _run(url, "hold", "add", "--method", "POST", "--times", "0")
    listed = _run(url, "hold")
    _run(url, "hold", "release", added["id"])
    left = _json(url, "hold")["holds"]
    _run(url, "hold", "release")

    assert (added["when"], added["seconds"]) == ("after", 60)
    assert "before the work" in told
    assert [line.split(None, 1)[1] for line in listed.splitlines()] == ["any /v1/charges", "POST **"]
    assert [hold["times"] for hold in left] == [None]
    assert _run(url, "hold") == "Nothing is held.\n"


def test_requests_are_listed(url: str) -> None:
    """Nothing first; then each call with its status, and the last so many on demand."""
    assert _run(url, "requests") == "No requests.\n"
    for _ in range(2):
        urlopen(Request(f"{url}/v1/customers", b"", HEADERS), timeout=30).close()  # noqa: S310 - our own address

    lines = _run(url, "requests", "--key", "k").splitlines()
    assert [line.split(None, 1)[1] for line in lines] == [
        "200  POST /v1/customers  idempotency_key=k",
        "200  POST /v1/customers  idempotency_key=k  replayed",
    ]
    assert len(_json(url, "requests", "--limit", "1")["requests"]) == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["trigger", "moon.landed"], "payment_intent.succeeded"),
        (["faults", "add", "error", "--with", "status=418"], "status is one of"),
        (["faults", "clear", "fault_99"], "No such fault."),
        (["hold", "release", "hold_99"], "No such hold."),
        (["faults", "load", "/nowhere/script.json"], "cannot be read"),
        (["clock", "advance", "400d"], "advance_seconds must be between"),
    ],
)
def test_a_refusal_is_one_line_and_exit_1(url: str, arguments: list[str], told: str) -> None:
    """The sentence is the sandbox's own, on standard error."""
    ended = _ended(*arguments, "--url", url)

    assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (1, "", 1)
    assert told in ended.stderr


@pytest.mark.parametrize(
    "arguments",
    [["clock", "advance", "soon"], ["clock", "advance"], ["faults", "add", "moon"], ["hold", "--moon"],
     ["faults", "add", "error", "--with", "status"], ["reset", "--url", "localhost:1"]],
)  # fmt: skip
def test_wrong_words_are_a_usage_error(arguments: list[str]) -> None:
    """Exit 2, whether or not a sandbox runs."""
    ended = _ended(*arguments)

    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr


def test_where_nothing_listens_it_says_what_to_do() -> None:
    """Exit 69, and how to start one."""
    ended = _ended("clock", "--url", "http://127.0.0.1:9")

    assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (69, "", 1)
    assert "Start one with: stripe-sandbox" in ended.stderr
