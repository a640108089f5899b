"""Structured logs: one JSON object a line on standard error, ids only, secrets cut out by their shape."""

import logging
import re
import sys
from collections.abc import MutableMapping, Sequence
from typing import Any, Final

import structlog

_SHAPES: Final = re.compile(
    r"(?P<id>\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b)"
    r"|\b(?:sk|rk|pk)_(?:test|live)_\w+|\bwhsec_\w+|\bcft_[\w-]+|\bpi_\w+_secret_\w+|\b(?:\d[ -]?){13,19}\b",
)
"""Our ids, which stay although some are nearly all digits; and what goes: Stripe's keys and signing secrets, our
tokens, client secrets, and whatever is as long as a card number."""


def configure(level: str) -> None:
    """Send every log line of the process, ours and the libraries', to standard error as JSON from this level up."""
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    bridge = logging.StreamHandler(sys.stderr)
    bridge.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        ),
    )
    root = logging.getLogger()
    root.handlers[:] = [bridge]
    root.setLevel(max(number, logging.WARNING))  # a library's small talk is not our log's business


def warn_of(settings: Sequence[str], why: str) -> None:
    """Log a warning of each of these settings, by its name."""
    for setting in settings:
        structlog.get_logger().warning("settings.warning", setting=setting, why=why)


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Return the event with everything cut out that is shaped like a secret, wherever it got in."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = without_secrets(value)
    return event


def without_secrets(text: str) -> str:
    """Return the text with everything cut out that is shaped like a secret."""
    return _SHAPES.sub(lambda found: found["id"] or "…", text)
