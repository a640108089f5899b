"""Retries by ourselves, gateway and worker as processes."""

import httpx
from tests.stage import Stage, authority, becomes, fetch, order

from counterfoil.store.tokens import Scope


async def test_a_declined_stored_card_is_charged_again_by_the_worker(stage: Stage, http: httpx.AsyncClient) -> None:
    """The caller is told when; once that time has come the worker makes the attempt, and the next is planned."""
    stripe = {"Authorization": "Bearer sk_test_stage"}
    customer = (await http.post(f"{stage.sandbox_url}/v1/customers", headers=stripe)).json()["id"]
    attach = f"{stage.sandbox_url}/v1/payment_methods/pm_card_chargeCustomerFail/attach"
    method = (await http.post(attach, data={"customer": customer}, headers=stripe)).json()["id"]
    gateway, headers = stage.start("gateway"), await authority(stage, *Scope)
    body = order(1, payment_method=method, customer_id=customer, off_session=True)

    answer = await http.post(f"{gateway.url}/charge", json=body, headers=headers)
    shown = (await http.get(f"{gateway.url}/payments/{answer.json()['payment_id']}", headers=headers)).json()
    assert (answer.status_code, answer.json()["status"]) == (202, "processing")
    assert shown["retry_at"] is not None
    await fetch(stage, "UPDATE payments SET retry_at = now(), next_check_at = now() RETURNING id")
    stage.start("worker")

    await becomes(
        [(1, "declined"), (2, "declined")],
        lambda: fetch(stage, "SELECT number, state FROM attempts ORDER BY number"),
    )
    facts = await fetch(stage, "SELECT name FROM facts ORDER BY version")
    assert [name for (name,) in facts] == [
        "PaymentRequested",
        "PaymentAttemptFailed",
        "PaymentRequested",
        "PaymentAttemptFailed",
    ]
