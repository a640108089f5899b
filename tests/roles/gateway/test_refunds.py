"""Who may ask money back, and of what."""

import asyncio

import asyncpg
import httpx
import pytest
from tests.roles.gateway.conftest import Counter
from tests.stage import becomes, order

from counterfoil.store.tokens import Scope

NOTHING = "01900000-0000-7000-8000-000000000001"

GIVE_BACK = """
LOCK TABLE refunds IN ACCESS EXCLUSIVE MODE;
UPDATE refunds SET state = 'processed', next_check_at = NULL WHERE payment_id = '{payment_id}';
UPDATE payments SET amount_refunded = amount_refund_reserved, amount_refund_reserved = 0 WHERE id = '{payment_id}';
"""
"""What the step that gives money back records in one transaction; who asks for refunds waits for its end."""

WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'refunds'::regclass"


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


@pytest.mark.parametrize("path", ["/payments/{payment_id}", "/orders/{order_id}/payment"])
async def test_an_answer_is_of_one_moment(gateway: Counter, http: httpx.AsyncClient, path: str) -> None:
    """What is recorded while a payment is read is in all of the answer, or in none of it: its sums and its refunds."""
    paid = (await gateway.charge(http, order(f"moment-{len(path)}"))).json()
    await ask(gateway, http, paid["payment_id"])
    recording = await asyncpg.connect(gateway.stage.database_url)
    async with recording.transaction():
        await recording.execute(GIVE_BACK.format(**paid))
        asked = asyncio.create_task(gateway.ask(http, path.format(**paid)))
        await becomes(1, lambda: gateway.fetch(WAITING))
    shown = (await asked).json()
    await recording.close()

    assert (shown["amount_refunded"], [one["status"] for one in shown["refunds"]]) == (0, ["requested"])
