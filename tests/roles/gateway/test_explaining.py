"""What the gateway explains of a payment in words."""

import httpx
import pytest
from tests.roles.gateway.conftest import Counter
from tests.stage import order

from counterfoil.store.tokens import Scope

NOBODY = "00000000-0000-7000-8000-000000000000"
EMAIL = "ada@example.com"


async def test_a_payment_that_waits_is_explained_with_its_times(gateway: Counter, http: httpx.AsyncClient) -> None:
    """What is known, what is not, and what is ahead, the latter with times in UTC where there are any."""
    placed = order("waits", payment_method="pm_card_threeDSecure2Required", customer_email=EMAIL)
    asked = (await gateway.charge(http, placed)).json()

    answer = await gateway.ask(http, f"/payments/{asked['payment_id']}/explanation")

    said = answer.json()
    assert (answer.status_code, said["payment_id"], said["status"]) == (200, asked["payment_id"], "requires_action")
    assert said["unknown"] == ["Whether the customer will act."]
    assert f"The processor knows the payment as {asked['payment_intent_id']}." in said["known"]
    ends = [one["at"] for one in said["ahead"] if one["what"].startswith("If nothing has come of it, it is let go")]
    assert [end.endswith("Z") for end in ends] == [True]
    assert EMAIL not in answer.text
    assert asked["action"]["url"] not in answer.text


async def test_a_payment_that_is_paid_leaves_nothing_open(gateway: Counter, http: httpx.AsyncClient) -> None:
    """Nothing unknown, and nothing ahead that would have a time."""
    paid = (await gateway.charge(http, order("explained"))).json()
    said = (await gateway.ask(http, f"/payments/{paid['payment_id']}/explanation")).json()
    assert (said["status"], said["unknown"]) == ("succeeded", [])
    assert said["ahead"] == [{"at": None, "what": "Nothing: it is final."}]
    assert "took 19.99 EUR with the charge ch_" in said["known"][-1]


@pytest.mark.parametrize("payment_id", [NOBODY, "7"])
async def test_what_is_not_there_is_not_explained(gateway: Counter, http: httpx.AsyncClient, payment_id: str) -> None:
    """404, as for the payment itself."""
    answer = await gateway.ask(http, f"/payments/{payment_id}/explanation")
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:counterfoil:problem:not-found")


async def test_explaining_wants_the_scope_to_read(gateway: Counter, http: httpx.AsyncClient) -> None:
    """Who may only charge is not told."""
    path = f"/payments/{NOBODY}/explanation"
    codes = [
        (await gateway.ask(http, path, token=gateway.limited[scope])).status_code
        for scope in (Scope.CHARGE, Scope.READ)
    ]
    assert codes == [403, 404]
