"""A wire to PostgreSQL that can fall silent: still connected, still accepting, and nothing comes through."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit


class Relay:
    """Carries bytes between clients and one server; ``url`` is the server's own, but for the port."""

    def __init__(self, url: str) -> None:
        self._server = urlsplit(url)
        self._speaking = threading.Event()
        self._speaking.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        """Where to connect."""
        account, at, _ = self._server.netloc.rpartition("@")
        return self._server._replace(netloc=f"{account}{at}127.0.0.1:{self._listener.getsockname()[1]}").geturl()

    def fall_silent(self) -> None:
        """Hold back every byte from now on, as a network that drops packets does."""
        self._speaking.clear()

    def speak(self) -> None:
        """Let through what was held back, and whatever comes."""
        self._speaking.set()

    def passed(self, sent: bytes) -> bytes:
        """Return what comes out for bytes that go in; a relay that is no mere wire changes them."""
        return sent

    def close(self) -> None:
        """Cut every connection."""
        for one in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):  # its other end was faster
                one.shutdown(socket.SHUT_RDWR)
        self._speaking.set()
        for thread in self._threads:
            thread.join()
        for one in (self._listener, *self._sockets):
            one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener was closed
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection((self._server.hostname or "", self._server.port or 5432))
                self._sockets += [client, server]
                for ends in ((client, server), (server, client)):
                    self._threads.append(threading.Thread(target=self._carry, args=ends))
                    self._threads[-1].start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):  # either end is gone
            while sent := source.recv(65_536):
                self._speaking.wait()
                target.sendall(self.passed(sent))
        self._speaking.wait()
        with contextlib.suppress(OSError):  # it was closed already
            target.shutdown(socket.SHUT_WR)


@contextmanager
def relayed(url: str) -> Iterator[Relay]:
    """Yield a relay to the server of a database's URL."""
    relay = Relay(url)
    try:
        yield relay
    finally:
        relay.close()
