"""Which port each part of `counterfoil up` listens on."""

import socket
from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import dataclass, fields
from typing import Self

from counterfoil.cli.exits import CommandFailed

ADDRESS = "127.0.0.1"
"""Everything that `counterfoil up` starts is for this machine alone."""

_IN_BASE_ORDER = ("gateway", "webhook_receiver", "dashboard", "worker", "outbox_publisher", "dispatcher", "kafka")
_OFFSETS = {"mailbox": 7, "smtp": 8, "sandbox": 9}


@dataclass(frozen=True, slots=True)
class Ports:
    """One port for each part. The dashboard's is kept free for it."""

    gateway: int = 8080
    webhook_receiver: int = 8081
    dashboard: int = 8082
    worker: int = 8083
    outbox_publisher: int = 8084
    dispatcher: int = 8085
    kafka: int = 9092
    mailbox: int = 8025
    smtp: int = 1025
    sandbox: int = 12111

    @classmethod
    def from_base(cls, base: int) -> Self:
        """Return the ports from `base` on, in the order of the default ones.

        What stands for others comes last: the mailbox at `base` + 7 and 8, the sandbox at `base` + 9.
        """
        offsets = {name: offset for offset, name in enumerate(_IN_BASE_ORDER)} | _OFFSETS
        return cls(**{name: base + offset for name, offset in offsets.items()})

    @classmethod
    def free_one(cls) -> int:
        """Return a port that nothing listens on at this moment."""
        return cls.free_ones(1)[0]

    @classmethod
    def free(cls) -> Self:
        """Return ports that nothing listens on at this moment."""
        return cls(*cls.free_ones(len(fields(cls))))

    @staticmethod
    def free_ones(count: int, but_for: Collection[int] = ()) -> list[int]:
        """Return so many different ports that nothing listens on at this moment, but for some that are spoken for."""
        found: list[int] = []
        with ExitStack() as held:
            while len(found) < count:
                probe = held.enter_context(socket.socket())
                probe.bind((ADDRESS, 0))
                port: int = probe.getsockname()[1]
                if port not in but_for:
                    found.append(port)
        return found

    def refuse_taken(self, names: tuple[str, ...]) -> None:
        """Raise CommandFailed, naming it, for the first of these ports that something listens on already."""
        for name in names:
            port = getattr(self, name)
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what just ended does not count
                try:
                    probe.bind((ADDRESS, port))
                except OSError:
                    raise CommandFailed(
                        f"port {port} ({name.replace('_', '-')}) is in use: stop what listens there, "
                        "or move all ports with --port-base"
                    ) from None

    def url(self, name: str) -> str:
        """Return the address of a part."""
        return f"http://{ADDRESS}:{getattr(self, name)}"
