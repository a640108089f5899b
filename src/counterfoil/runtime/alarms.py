"""What a person must see: counted for whoever is paged by a metric, and logged for whoever comes to look."""

import structlog

from counterfoil.runtime.metrics import ALARMS

_log = structlog.get_logger()


def alarm(where: str, what: str, **ids: object) -> None:
    """Count an alarm and log it as an error.

    Args:
        where: the step or role that noticed; the metric's label, and the first half of the log's event.
        what: in a word or two, the second half of it; a longer reason goes into ``ids`` as ``why``.
        ids: what it is about. Never a secret, a body or a person's address.
    """
    ALARMS.labels(where).inc()
    _log.error(f"{where}.{what}", **ids)
