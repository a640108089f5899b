"""How many requests a second one mode of the account may make (https://docs.stripe.com/rate-limits).

Stripe says how many, and not how it counts them. Here it is the strictest reading: in no second more than that many.
"""

from collections import deque
from typing import Final

from stripe_sandbox.clock import Clock

WINDOW_SECONDS: Final = 1.0


class RateLimit:
    """Counts what was let through in the last second; what was refused does not count.

    Args:
        clock: whose second it is.
        per_second: how many; nothing is refused where it is None.
    """

    def __init__(self, clock: Clock, per_second: int | None) -> None:
        self._clock = clock
        self._per_second = per_second
        self._let_through: deque[float] = deque()

    def admits(self) -> bool:
        """Whether one more may pass now; it is counted if so."""
        if self._per_second is None:
            return True
        now = self._clock.now()
        while self._let_through and self._let_through[0] <= now - WINDOW_SECONDS:
            self._let_through.popleft()
        if len(self._let_through) >= self._per_second:
            return False
        self._let_through.append(now)
        return True
