"""What an order means, and how it is charged."""

import pytest
from tests.orders import order

from counterfoil.domain.order import Link

LINK = Link("cus_1", "pm_own")


@pytest.mark.parametrize(
    ("named", "link", "default", "charged"),
    [
        ("pm_1", LINK, "pm_test", "pm_1"),
        (None, LINK, "pm_test", "pm_own"),
        (None, Link("cus_1", None), "pm_test", "pm_test"),
        (None, None, "pm_test", "pm_test"),
        (None, None, None, None),
    ],
)
def test_a_method_is_named_else_the_customers_else_the_default(
    named: str | None, link: Link | None, default: str | None, charged: str | None
) -> None:
    """In this order; where there is none of them, none is made up."""
    settled = order(payment_method=named).settled(link, default)
    assert (settled.payment_method, settled.processor_customer_id) == (charged, link and "cus_1")


def test_an_order_without_a_method_is_the_same_whatever_the_default_is() -> None:
    """It may come again after the customer has another card: that is no other order. One that names a method is."""
    placed = order(payment_method=None)
    first, later = placed.settled(LINK, None), placed.settled(Link("cus_1", "pm_new"), None)
    assert placed.fingerprint() == first.fingerprint() == later.fingerprint()
    assert order(payment_method="pm_own").fingerprint() != first.fingerprint()
