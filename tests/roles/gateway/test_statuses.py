"""An order's payment in one word, over HTTP."""

import httpx
import pytest
from tests.roles.gateway.conftest import Counter
from tests.stage import order

from counterfoil.store.tokens import Scope


@pytest.mark.parametrize(
    ("method", "status", "captured"),
    [
        ("pm_card_visa", "completed", 1999),
        ("pm_card_chargeDeclined", "failed", 0),
        ("pm_card_threeDSecure2Required", "pending", 0),
    ],
)
async def test_an_order_says_how_it_stands(
    gateway: Counter, http: httpx.AsyncClient, method: str, status: str, captured: int
) -> None:
    """By the order's own id, slashes and all."""
    placed = order(f"one/{method}", payment_method=method)
    charged = (await gateway.charge(http, placed)).json()
    answer = await gateway.ask(http, f"/orders/order-one%2F{method}/status")
    told = answer.json()
    assert (200, status, charged["payment_id"]) == (answer.status_code, told["status"], told["payment_id"])
    assert (told["order_id"], told["amount"], told["currency"]) == (placed["order_id"], 1999, "EUR")
    assert (told["amount_captured"], told["amount_refunded"]) == (captured, 0)


async def test_what_was_given_back_whole_is_refunded(gateway: Counter, http: httpx.AsyncClient) -> None:
    """All of it, whoever gave it back."""
    await gateway.charge(http, order("back"))
    await gateway.fetch("UPDATE payments SET amount_refunded = 1999 WHERE order_id = 'order-back' RETURNING id")
    assert (await gateway.ask(http, "/orders/order-back/status")).json()["status"] == "refunded"


async def test_an_order_nobody_knows_is_not_found(gateway: Counter, http: httpx.AsyncClient) -> None:
    """Not pending: nothing was asked for."""
    assert (await gateway.ask(http, "/orders/nobody/status")).status_code == 404


async def test_to_be_told_takes_the_scope_to_read(gateway: Counter, http: httpx.AsyncClient) -> None:
    """As for every other look at a payment."""
    answers = {
        scope: (await gateway.ask(http, "/orders/nobody/status", token=gateway.limited[scope])).status_code
        for scope in Scope
    }
    assert answers == {scope: 404 if scope is Scope.READ else 403 for scope in Scope}
