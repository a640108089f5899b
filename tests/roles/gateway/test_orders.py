"""An order is cancelled at the gateway, before its payment and after."""

import httpx
from tests.roles.gateway.conftest import Counter
from tests.stage import order

from counterfoil.store.tokens import Scope


async def cancel(
    gateway: Counter, http: httpx.AsyncClient, order_id: str, token: str | None = None, reason: str = "OUT_OF_STOCK"
) -> httpx.Response:
    """Cancel an order."""
    url = f"{gateway.running.url}/orders/{order_id}/cancel"
    return await http.post(url, json={"reason": reason}, headers=gateway.authority(token))


async def test_a_paid_order_is_given_back(gateway: Counter, http: httpx.AsyncClient) -> None:
    """202 with its payments as they stand; the refund of all of it is there at once."""
    payment_id = (await gateway.charge(http, order("paid"))).json()["payment_id"]

    answer = await cancel(gateway, http, "order-paid")

    assert (answer.status_code, answer.json()) == (
        202,
        {"order_id": "order-paid", "payments": [{"payment_id": payment_id, "status": "succeeded"}]},
    )
    shown = (await gateway.ask(http, f"/payments/{payment_id}")).json()
    assert [(one["amount"], one["reason"]) for one in shown["refunds"]] == [(1999, "OUT_OF_STOCK")]


async def test_an_order_cancelled_before_its_payment_is_answered_as_canceled(
    gateway: Counter, http: httpx.AsyncClient
) -> None:
    """The charge is 200 canceled, the same again likewise, and Stripe hears nothing of it."""
    first = await cancel(gateway, http, "early%2Forder")
    told = await gateway.told(http)

    charged = [await gateway.charge(http, order("early", order_id="early/order")) for _ in range(2)]

    assert (first.status_code, first.json()) == (202, {"order_id": "early/order", "payments": []})
    assert [(one.status_code, one.json()["status"]) for one in charged] == [(200, "canceled")] * 2
    assert await gateway.told(http) == told


async def test_who_may_cancel_and_why(gateway: Counter, http: httpx.AsyncClient) -> None:
    """It takes the scope of a charge, and a reason that the message knows."""
    statuses = {
        scope: (await cancel(gateway, http, "order-nobodys", token)).status_code
        for scope, token in gateway.limited.items()
    }
    unreasonable = await cancel(gateway, http, "order-nobodys", reason="bored")

    assert statuses == {Scope.CHARGE: 202, Scope.READ: 403, Scope.REFUND: 403, Scope.ADMIN: 403}
    assert (unreasonable.status_code, unreasonable.json()["field"]) == (400, "reason")
