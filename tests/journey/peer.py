"""Somebody who answers our calls byte for byte as a test says, and remembers what was asked."""

import asyncio
import json
import socket
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from http import HTTPStatus
from typing import Any


class Silence(Enum):
    """What comes instead of an answer, once the whole request was read."""

    RESET = auto()
    END = auto()
    NOTHING = auto()
    HALF_A_BODY = auto()


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, a body and further headers."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)

    def encoded(self) -> bytes:
        """Return it as it goes over the wire."""
        body = json.dumps(self.body).encode()
        head = {
            "Content-Type": "application/json",
            "Content-Length": len(body),
            "Request-Id": "req_peer",
            **self.headers,
        }
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}", *(f"{k}: {v}" for k, v in head.items())]
        return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, as it was read from the socket."""

    method: str
    path: str
    key: str | None
    body: bytes


NOTHING_THERE = Answer(200, {"object": "list", "data": [], "has_more": False, "url": "/v1/payment_intents"})
"""A complete listing without a payment in it."""


class Peer:
    """Answers POSTs with what was put into ``posts``, one after the other, and GETs with ``gets``."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[Asked] = []
        self.posts: deque[Answer | Silence] = deque()
        self.gets: Answer = NOTHING_THERE

    @property
    def seen(self) -> list[str]:
        """What was asked so far: method and path, without the query."""
        return [f"{one.method} {one.path.partition('?')[0]}" for one in self.asked]

    async def speak(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                asked = await self._read(head.decode(), reader)
                self.asked.append(asked)
                answer = self.posts.popleft() if asked.method == "POST" else self.gets
                if isinstance(answer, Silence):
                    await self._fall_silent(answer, writer)
                    return
                writer.write(answer.encoded())
        except (asyncio.IncompleteReadError, ConnectionError):
            return  # the client is gone
        finally:
            writer.close()

    async def _read(self, head: str, reader: asyncio.StreamReader) -> Asked:
        first, *lines = head.split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        method, path, _ = first.split(" ")
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        return Asked(method, path, headers.get("idempotency-key"), body)

    async def _fall_silent(self, how: Silence, writer: asyncio.StreamWriter) -> None:
        if how is Silence.RESET:
            own = writer.get_extra_info("socket")
            own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # closing sends RST
        elif how is Silence.HALF_A_BODY:
            writer.write(Answer(200, {"id": "pi_1"}).encoded()[:-5])
            await writer.drain()
        elif how is Silence.NOTHING:
            await writer.wait_closed()  # the client gives up first


@asynccontextmanager
async def no_tls() -> AsyncIterator[str]:
    """Yield the https address of somebody who speaks no TLS."""

    async def speak(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(Answer(400, {}).encoded())
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def listening() -> AsyncIterator[Peer]:
    """Yield a peer that listens."""
    peer = Peer()
    async with await asyncio.start_server(peer.speak, "127.0.0.1", 0) as server:
        peer.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield peer
