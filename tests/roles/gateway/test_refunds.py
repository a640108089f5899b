"""Who may ask money back, and of what."""

import httpx
from tests.roles.gateway.conftest import Counter
from tests.stage import order

from counterfoil.store.tokens import Scope

NOTHING = "01900000-0000-7000-8000-000000000001"


async def ask(gateway: Counter, http: httpx.AsyncClient, payment_id: str, token: str | None = None) -> httpx.Response:
    """Ask all of a payment back."""
    headers = {**gateway.authority(token), "Idempotency-Key": "refund-1"}
    return await http.post(f"{gateway.running.url}/payments/{payment_id}/refunds", json={}, headers=headers)


async def test_tokens_open_what_their_scope_says(gateway: Counter, http: httpx.AsyncClient) -> None:
    """Only who may refund may, and who may charge may not; to look at a refund it takes who may read."""
    payment_id = (await gateway.charge(http, order("scopes"))).json()["payment_id"]

    asked = {
        scope: (await ask(gateway, http, payment_id, token)).status_code for scope, token in gateway.limited.items()
    }
    refund_id = (await ask(gateway, http, payment_id)).json()["refund_id"]
    read = {
        scope: (await gateway.ask(http, f"/refunds/{refund_id}", token=token)).status_code
        for scope, token in gateway.limited.items()
    }

    assert asked == {Scope.CHARGE: 403, Scope.READ: 403, Scope.REFUND: 202, Scope.ADMIN: 403}
    assert read == {Scope.CHARGE: 403, Scope.READ: 200, Scope.REFUND: 403, Scope.ADMIN: 403}


async def test_what_is_not_there_is_404(gateway: Counter, http: httpx.AsyncClient) -> None:
    """A payment, a refund, and what is no id at all."""
    asked = [(await ask(gateway, http, name)).status_code for name in (NOTHING, "no-id")]
    read = [(await gateway.ask(http, f"/refunds/{name}")).status_code for name in (NOTHING, "no-id")]
    assert (asked, read) == ([404, 404], [404, 404])


async def test_a_payment_without_refunds_says_so(gateway: Counter, http: httpx.AsyncClient) -> None:
    """An empty list, by itself and by its order."""
    payment_id = (await gateway.charge(http, order("none"))).json()["payment_id"]
    shown = [await gateway.ask(http, path) for path in (f"/payments/{payment_id}", "/orders/order-none/payment")]
    assert [one.json()["refunds"] for one in shown] == [[], []]
