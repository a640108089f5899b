"""How many requests Stripe takes (https://docs.stripe.com/rate-limits).

They are an account's, whichever of its keys is used, and apart for live mode and for a sandbox or test mode. Stripe
raises them for who asks, and may lower them for who makes useless load.
"""

from typing import Final

LIVE_PER_SECOND: Final = 100

TEST_PER_SECOND: Final = 25

ENDPOINT_PER_SECOND: Final = 25
"""Of one operation, such as retrieving a PaymentIntent, unless its documentation says otherwise."""
