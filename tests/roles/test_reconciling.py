"""Both books compared by processes: asked for at the gateway, done by a worker that may be killed at it."""

from typing import Any

import httpx
from tests.stage import KEY, Running, Stage, authority, becomes, fetch, order

from counterfoil.store.tokens import Scope

STRIPE = {"Authorization": f"Bearer {KEY}"}


async def asked(gateway: Running, http: httpx.AsyncClient, headers: dict[str, str]) -> str:
    answer = await http.post(f"{gateway.url}/reconciliations", headers=headers)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["reconciliation_id"])


async def ended(gateway: Running, http: httpx.AsyncClient, headers: dict[str, str], name: str) -> dict[str, Any]:
    async def ask() -> dict[str, Any]:
        found: dict[str, Any] = (await http.get(f"{gateway.url}/reconciliations/{name}", headers=headers)).json()
        return found

    return await becomes(lambda found: found["finished_at"] is not None, ask, seconds=60)


async def test_differences_are_found_settled_and_acknowledged(stage: Stage, http: httpx.AsyncClient) -> None:
    """A refund by hand is taken down, a stranger's charge with our metadata is left, until a person has seen to it.

    The worker that began is killed; another one goes on. Gauges tell what is left.
    """
    gateway = stage.start("gateway")
    headers = await authority(stage, *Scope)
    paid = (await http.post(f"{gateway.url}/charge", json=order(1), headers=headers)).json()
    form = {"payment_intent": paid["payment_intent_id"], "amount": "500"}
    assert (await http.post(f"{stage.sandbox_url}/v1/refunds", data=form, headers=STRIPE)).is_success
    form = {"amount": "700", "currency": "eur", "confirm": "true", "payment_method": "pm_card_visa"}
    form |= {"payment_method_types[]": "card", "metadata[payment_id]": "01890a5d-ac96-774b-bcce-b302099a8057"}
    made = (await http.post(f"{stage.sandbox_url}/v1/payment_intents", data=form, headers=STRIPE)).json()
    name = await asked(gateway, http, headers)

    first = stage.start("worker")
    await becomes([(True,)], lambda: fetch(stage, "SELECT started_at IS NOT NULL FROM reconciliations"))
    first.kill()
    await fetch(stage, "UPDATE reconciliations SET claim_expires_at = NULL RETURNING id")
    worker = stage.start("worker")
    view = await ended(gateway, http, headers, name)

    path = f"{gateway.url}/reconciliations/{name}/differences"
    left = (await http.get(f"{path}?state=left&limit=1", headers=headers)).json()
    rest = (await http.get(f"{path}?state=left&cursor={left['next_cursor']}", headers=headers)).json()
    found = left["differences"] + rest["differences"]
    assert {one["verdict"] for one in found} == {"ours_missing"}
    assert {one["processor_reference"] for one in found} == {made["id"], made["latest_charge"]}
    assert (view["payments_compared"], view["differences"]["left"], rest["next_cursor"]) == (1, 2, None)
    assert await fetch(stage, "SELECT amount_refunded FROM payments") == [(500,)]
    assert "compare.differences" in worker.log()
    gauge = 'counterfoil_reconciliation_differences{verdict="ours_missing"} 2.0'

    async def metrics() -> str:
        return (await http.get(f"{worker.url}/metrics")).text

    await becomes(lambda text: gauge in text, metrics)
    for one in found:
        url = f"{gateway.url}/differences/{one['difference_id']}/acknowledge"
        done = await http.post(url, json={"note": "a stranger's"}, headers=headers)
        assert (done.status_code, done.json()["acknowledged_by"]) == (200, "shop")
        assert (await http.post(url, json={"note": "again"}, headers=headers)).status_code == 409
    listed = (await http.get(f"{gateway.url}/reconciliations", headers=headers)).json()["reconciliations"]
    assert [one["differences"]["acknowledged"] for one in listed] == [2]


async def test_comparisons_are_asked_for_by_who_may(stage: Stage, http: httpx.AsyncClient) -> None:
    """The scope is admin; what is no comparison, or none yet to come, is refused."""
    gateway = stage.start("gateway")
    reading = await authority(stage, Scope.READ)
    assert (await http.post(f"{gateway.url}/reconciliations", headers=reading)).status_code == 403
    assert (await http.get(f"{gateway.url}/reconciliations", headers=reading)).json()["reconciliations"] == []
    assert (await http.get(f"{gateway.url}/reconciliations/none", headers=reading)).status_code == 404
