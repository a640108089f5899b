import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.cli.peer import Peer, Reply

Command = Callable[..., subprocess.CompletedProcess[str]]


def event(position: int) -> dict[str, Any]:
    return {
        "position": position,
        "id": f"fact-{position}",
        "type": "PaymentRequested",
        "version": "1.0.0",
        "payment_id": "0199-a",
        "sequence": 1,
        "time": "2026-01-02T03:04:05.678901Z",
        "data": {"payment_id": "0199-a", "amount": 1999, "currency": "EUR"},
    }


def streamed(*positions: int) -> Reply:
    text = "".join(f"id: {n}\nevent: PaymentRequested\ndata: {json.dumps(event(n))}\n\n" for n in positions)
    return Reply(text, content_type="text/event-stream")


def test_events_reads_to_the_end(counterfoil: Command, peer: Peer) -> None:
    """Without --follow, every event after the given position is printed once and the command ends."""
    peer.replies["/events"] = [
        Reply({"events": [event(4), event(7)], "next": 7}),
        Reply({"events": [], "next": 7}),
    ]
    done = counterfoil("events", "--after", "3", "--json", settings=peer.settings)
    assert [json.loads(line)["position"] for line in done.stdout.splitlines()] == [4, 7]
    assert [path for _, path, _ in peer.asked] == ["/events?after=3&limit=500", "/events?after=7&limit=500"]


def test_events_for_a_person(counterfoil: Command, peer: Peer) -> None:
    """A line says where an event stands, when it was, what it is and of which payment."""
    peer.replies["/events"] = [Reply({"events": [event(1)], "next": 1}), Reply({"events": [], "next": 1})]
    done = counterfoil("events", settings=peer.settings)
    assert done.stdout.split() == [
        *("1", "03:04:05.678", "PaymentRequested", "0199-a", "#1"),
        *("19.99", "EUR"),
    ]


def test_follow_resumes_where_the_stream_broke(peer: Peer, tmp_path: Path) -> None:
    """A dropped connection costs no event and repeats none; an interrupt ends the command with 130."""
    peer.replies["/events"] = [streamed(1, 2), Reply(None), streamed(2, 3), Reply({"title": "Unavailable"}, 503)]
    following = subprocess.Popen(
        [sys.executable, "-m", "counterfoil", "events", "--follow", "--json"],
        cwd=tmp_path,
        env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", **peer.settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with following:
        assert following.stdout is not None
        positions = [json.loads(following.stdout.readline())["position"] for _ in range(3)]
        following.send_signal(signal.SIGINT)
        assert following.wait(10) == 130
    assert positions == [1, 2, 3]
    assert [path for _, path, _ in peer.asked[:3]] == ["/events?after=0", "/events?after=2", "/events?after=2"]


def test_follow_needs_a_gateway_to_begin_with(counterfoil: Command, peer: Peer) -> None:
    """Where the first connection fails, nobody waits for ever: exit 69."""
    done = counterfoil("events", "--follow", settings={"COUNTERFOIL_URL": "http://127.0.0.1:1"})
    assert done.returncode == 69
    peer.replies["/events"] = [Reply({"title": "Unavailable"}, 503)]
    assert counterfoil("events", "--follow", settings=peer.settings).returncode == 69
