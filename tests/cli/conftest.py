import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.cli.peer import Peer, Reply
from typing_extensions import override

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def counterfoil(tmp_path: Path) -> Command:
    """Run the command line as a process of its own, in an empty folder and with only these settings."""

    def run(*arguments: str | bytes, settings: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "counterfoil", *arguments],
            cwd=tmp_path,
            env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC", **(settings or {})},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.fixture
def peer() -> Iterator[Peer]:
    """Listen where a gateway would; each list of replies gives its last one again and again."""
    known = Peer("")

    class Route(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer()

        def do_POST(self) -> None:
            self.answer()

        def do_PUT(self) -> None:
            self.answer()

        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            known.asked.append((self.command, self.path, json.loads(self.rfile.read(length)) if length else None))
            known.tokens.append(self.headers.get("Authorization"))
            replies = known.replies.get(self.path.partition("?")[0], [Reply({"title": "Not found"}, 404)])
            reply = replies.pop(0) if len(replies) > 1 else replies[0]
            if reply.body is None:
                self.close_connection = True
                return
            body = (reply.body if isinstance(reply.body, str) else json.dumps(reply.body)).encode()
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.content_type)
            self.end_headers()
            self.wfile.write(body)

        @override
        def log_message(self, *_: object) -> None:
            """Keep the test's output to the test."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Route)
    known.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield known
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
