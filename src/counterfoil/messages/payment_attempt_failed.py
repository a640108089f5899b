"""PaymentAttemptFailed 1.0.0, on ``payments.updates``: a try failed, and another one of ours is scheduled."""

import sys
from datetime import datetime
from typing import Self

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

from counterfoil.domain.payment import Fact
from counterfoil.domain.schedule import TRIES_OF_OURS
from counterfoil.messages.payment_failed import PaymentFailed


class PaymentAttemptFailed(PaymentFailed):
    """An attempt failed; the next one is made at ``next_retry_at``."""

    next_retry_at: datetime

    @classmethod
    @override
    def of(cls, fact: Fact) -> Self:
        """Return the message that tells this fact."""
        assert fact.payment.retry_at is not None, "it is said only where a retry is scheduled"
        return cls(**cls.told(fact) | {"max_attempts": TRIES_OF_OURS}, next_retry_at=fact.payment.retry_at)
