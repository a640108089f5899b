"""A gateway whose STRIPE_DRIVER is charges makes its payments by Stripe's older API."""

import httpx
from tests.stage import KEY, Stage, authority, fetch, order

from counterfoil.store.tokens import Scope


async def test_a_gateway_may_pay_by_charges(stage: Stage, http: httpx.AsyncClient) -> None:
    """A token is charged without an intent, a declined one says so, and what the older API cannot charge is refused."""
    gateway = stage.start("gateway", STRIPE_DRIVER="charges")
    headers = await authority(stage, Scope.CHARGE, Scope.READ)
    answers = [
        await http.post(f"{gateway.url}/charge", json=order(number, payment_method=method), headers=headers)
        for number, method in enumerate(("tok_visa", "tok_chargeDeclined", "pm_card_visa"))
    ]
    paid, declined, refused = (answer.json() for answer in answers)
    assert [answer.status_code for answer in answers] == [200, 402, 422]
    shown = (await http.get(f"{gateway.url}/payments/{paid['payment_id']}", headers=headers)).json()
    listed = await http.get(f"{stage.sandbox_url}/v1/charges", headers={"Authorization": f"Bearer {KEY}"})
    names = [charge["id"] for charge in listed.json()["data"]]
    assert (shown["status"], shown["payment_intent_id"]) == ("succeeded", shown["attempts"][0]["charge_id"])
    assert declined["payment_intent_id"] is None
    assert (refused["type"], refused["field"]) == ("urn:counterfoil:problem:method-refused", "payment_method")
    assert {(name,) for name in names} == set(await fetch(stage, "SELECT charge_id FROM attempts"))
