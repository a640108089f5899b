"""How the brokers are reached: what all clients of Kafka have in common."""

from collections.abc import Mapping
from typing import Any, Final

import structlog

SOCKET_TIMEOUT_MS: Final = 10_000
"""A broker that does not answer in this time is left for another."""

_log = structlog.get_logger()


def client_config(brokers: str, extra: Mapping[str, str]) -> dict[str, Any]:
    """Return librdkafka's configuration for a client; ``extra`` is TLS and SASL, as the settings have them."""
    return {
        "bootstrap.servers": brokers,
        "client.id": "counterfoil",
        "socket.timeout.ms": SOCKET_TIMEOUT_MS,
        "log.connection.close": "false",  # idle connections end: that is no news
        "logger": _Quiet(),
        **extra,
    }


class _Quiet:
    """Where librdkafka's own lines go: our log, without what it quotes of its peers."""

    def log(self, _level: int, _text: str, *arguments: object) -> None:
        """Take one line."""
        _log.debug("kafka.client", facility=str(arguments[0]) if arguments else "")
