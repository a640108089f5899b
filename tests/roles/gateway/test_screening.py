"""Screening over HTTP: checks and persons decide, and a worker does what follows."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from tests.roles.gateway.conftest import Counter, new_token
from tests.stage import Stage, becomes, order

from counterfoil.store.tokens import Scope

NOBODY = "00000000-0000-7000-8000-000000000000"
AUTO_BLOCK = 80


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def counter(shared_stage: Stage) -> AsyncIterator[Counter]:
    """A gateway that screens before it charges, from a risk of 80 on declines, and a worker beside it."""
    token = await new_token(shared_stage, "ada", *Scope)
    limited = {scope: await new_token(shared_stage, f"only {scope}", scope) for scope in Scope}
    settings = {"FRAUD_SCREENING": "before_charge", "FRAUD_AUTO_BLOCK": str(AUTO_BLOCK)}
    running = shared_stage.start("gateway", **settings)
    shared_stage.start("worker", **settings)
    yield Counter(shared_stage, running, token, limited)


async def post(
    counter: Counter, http: httpx.AsyncClient, path: str, body: Any, *, token: str | None = None
) -> httpx.Response:
    return await http.post(counter.running.url + path, json=body, headers=counter.authority(token))


async def checked(counter: Counter, http: httpx.AsyncClient, payment_id: str, decision: str, **fields: Any) -> Any:
    """Send a check of a payment, and return what it was answered with."""
    body = {"payment_id": payment_id, "decision": decision, **fields}
    answer = await post(counter, http, "/fraud-checks", body)
    assert answer.status_code == 202, answer.text
    return answer.json()


async def shown(counter: Counter, http: httpx.AsyncClient, payment_id: str) -> Any:
    return (await counter.ask(http, f"/payments/{payment_id}")).json()


async def screening(counter: Counter, http: httpx.AsyncClient, name: str) -> str:
    """Place an order that waits for its check; return its payment's id."""
    answer = await counter.charge(http, order(name))
    assert (answer.status_code, answer.json()["status"]) == (202, "screening")
    payment_id: str = answer.json()["payment_id"]
    return payment_id


async def test_a_charge_waits_for_its_check_and_is_charged_once_approved(
    counter: Counter, http: httpx.AsyncClient
) -> None:
    """202 at once, with nothing said to Stripe; the whole message of a check is taken."""
    asked = await counter.told(http)
    payment_id = await screening(counter, http, "approved")
    assert await counter.told(http) == asked
    before = (await shown(counter, http, payment_id))["screening"]
    assert (before["mode"], before["awaits"], before["decision"]) == ("before_charge", "fraud_check", None)
    answer = await checked(
        counter,
        http,
        payment_id,
        "APPROVED",
        transaction_id="check-1",
        risk_score=12.5,
        reasons=["known device"],
        signals=[{"name": "velocity", "weight": 0.25}],
        confidence=0.97,
        metadata={"model": "m-7", "rules": 4},
        timestamp="2026-11-21T09:00:00Z",
    )
    assert answer == {"payment_id": payment_id, "finding": "APPROVED", "status": "requested"}

    after = await becomes(lambda one: one["status"] == "succeeded", lambda: shown(counter, http, payment_id))
    assert (after["amount_captured"], after["screening"]["decision"], after["screening"]["awaits"]) == (
        *(1999, "APPROVED"),
        None,
    )
    entries = (await counter.ask(http, f"/payments/{payment_id}/timeline")).json()["entries"]
    (entry,) = [entry for entry in entries if entry["kind"] == "check"]
    grounds = {"reasons": ["known device"], "signals": [{"name": "velocity", "weight": 0.25}], "confidence": 0.97}
    assert (entry["name"], entry["details"]) == (
        "fraud check approved",
        {"reference": "check-1", "risk_score": 12.5, **grounds},
    )


async def test_a_risk_too_high_is_a_decline_whatever_the_check_decided(
    counter: Counter, http: httpx.AsyncClient
) -> None:
    """The same order again is answered 402, and says that fraud is suspected."""
    payment_id = await screening(counter, http, "risky")
    answer = await checked(counter, http, payment_id, "APPROVED", risk_score=AUTO_BLOCK)
    assert (answer["finding"], answer["status"]) == ("DECLINED", "failed")
    again = await counter.charge(http, order("risky"))
    said = again.json()
    assert (again.status_code, said["failure_reason"], said["reason"], said["can_retry"]) == (
        *(402, "fraud_suspected", "CARD_DECLINED"),
        False,
    )


async def test_a_check_of_a_payment_that_is_not_here_is_taken_in(counter: Counter, http: httpx.AsyncClient) -> None:
    """It may come; there is no status to tell."""
    answer = await checked(counter, http, NOBODY, "DECLINED")
    assert answer == {"payment_id": NOBODY, "finding": "DECLINED", "status": None}


async def test_a_person_decides_where_the_check_could_not(counter: Counter, http: httpx.AsyncClient) -> None:
    """It is listed for them; a second decision, and one before it was asked for, is 409."""
    payment_id = await screening(counter, http, "reviewed")
    decision = {"decision": "APPROVED", "note": "a regular"}
    path = f"/payments/{payment_id}/review"
    early = await post(counter, http, path, decision)
    assert (early.status_code, early.json()["type"].rpartition(":")[2]) == (409, "wrong-state")
    await checked(counter, http, payment_id, "MANUAL_REVIEW", reasons=["new device", "far away"])
    entries = (await counter.ask(http, f"/payments/{payment_id}/timeline")).json()["entries"]
    (told,) = [entry["details"]["reasons"] for entry in entries if entry["kind"] == "check"]
    assert told == ["new device", "far away"]
    listed = (await counter.ask(http, "/payments?under_review=true")).json()["payments"]
    assert [payment["payment_id"] for payment in listed] == [payment_id]
    assert listed[0]["screening"]["awaits"] == "review"

    decided = await post(counter, http, path, decision)

    assert (decided.status_code, decided.json()["status"]) == (200, "requested")
    assert (await post(counter, http, path, decision)).status_code == 409
    await becomes(lambda one: one["status"] == "succeeded", lambda: shown(counter, http, payment_id))
    assert (await counter.ask(http, "/payments?under_review=true")).json()["payments"] == []
    entries = (await counter.ask(http, f"/payments/{payment_id}/timeline")).json()["entries"]
    (entry,) = [entry for entry in entries if entry["kind"] == "check"]
    details = entry["details"]
    assert (entry["name"], details["reference"], details["reasons"]) == ("review approved", "ada: a regular", told)


async def test_a_list_of_reviews_has_no_status(counter: Counter, http: httpx.AsyncClient) -> None:
    """A review may be of any open state: to ask for both is a mistake, and named."""
    answer = await counter.ask(http, "/payments?under_review=true&status=screening")
    assert (answer.status_code, answer.json()["field"]) == (400, "under_review")


@pytest.mark.parametrize("path", ["/fraud-checks", f"/payments/{NOBODY}/review"])
@pytest.mark.parametrize("scope", [Scope.CHARGE, Scope.READ, Scope.REFUND])
async def test_only_an_admin_decides(counter: Counter, http: httpx.AsyncClient, path: str, scope: Scope) -> None:
    """Who may charge may not also approve."""
    body = {"payment_id": NOBODY, "decision": "APPROVED"}
    assert (await post(counter, http, path, body, token=counter.limited[scope])).status_code == 403


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"decision": "approved"}, "decision"),
        ({"payment_id": "p-1"}, "payment_id"),
        ({"risk_score": 100.5}, "risk_score"),
        ({"risk_score": -1}, "risk_score"),
        ({"risk_score": "95"}, "risk_score"),
        ({"verdict": "APPROVED"}, "verdict"),
        ({"signals": [{"name": "x"}]}, "signals.0.weight"),
    ],
)
async def test_a_check_of_another_shape_is_refused(
    counter: Counter, http: httpx.AsyncClient, changes: dict[str, Any], field: str
) -> None:
    """400 with the field: a check that is misread could charge a fraud."""
    answer = await post(counter, http, "/fraud-checks", {"payment_id": NOBODY, "decision": "APPROVED", **changes})
    assert (answer.status_code, answer.json()["field"]) == (400, field)


async def test_a_review_of_nothing_is_404(counter: Counter, http: httpx.AsyncClient) -> None:
    """A name that is none, and one that nobody has."""
    for name in (NOBODY, "p-1"):
        assert (await post(counter, http, f"/payments/{name}/review", {"decision": "DECLINED"})).status_code == 404


async def test_an_attempt_too_many_is_429_with_its_payment(counter: Counter, http: httpx.AsyncClient) -> None:
    """The problem names the payment, which has failed, and says when to come back."""
    for number in range(10):
        answer = await counter.charge(http, order(f"ada-{number}", customer_id="ada"))
        assert answer.status_code == 202
    answer = await counter.charge(http, order("ada-late", customer_id="ada"))
    said = answer.json()
    assert (answer.status_code, said["type"].rpartition(":")[2]) == (429, "rate-limited")
    assert 3500 < int(answer.headers["retry-after"]) <= 3600
    assert (await shown(counter, http, said["payment_id"]))["status"] == "failed"


async def test_what_is_held_first_waits_for_its_capture_and_a_debit_for_its_charge(
    stage: Stage, http: httpx.AsyncClient
) -> None:
    """A bank debit cannot be held: its check comes before the charge. Without a check in time a person is asked."""
    settings = {"FRAUD_SCREENING": "before_capture", "FRAUD_TIMEOUT": "1 s"}
    here = Counter(stage, stage.start("gateway", **settings), await new_token(stage, "ada", *Scope), {})
    stage.start("worker", **settings)
    mandate = {"accepted_at": "2026-11-21T09:00:00Z", "ip_address": "192.0.2.1", "user_agent": "a browser"}
    card = (await here.charge(http, order("card"))).json()
    debit = (
        await here.charge(
            http, order("debit", payment_method="pm_usBankAccount_success", currency="USD", mandate=mandate)
        )
    ).json()
    assert (card["status"], card["amount_captured"], debit["status"]) == ("authorized", 0, "screening")
    assert (await shown(here, http, card["payment_id"]))["capture_method"] == "automatic"
    modes = [(await shown(here, http, one["payment_id"]))["screening"]["mode"] for one in (card, debit)]
    assert modes == ["before_capture", "before_charge"]
    await becomes(2, lambda: here.fetch("SELECT count(*) FROM payments WHERE reviewing"))
    for one in (card, debit):
        decided = await post(here, http, f"/payments/{one['payment_id']}/review", {"decision": "DECLINED"})
        assert decided.status_code == 200
    await becomes(2, lambda: here.fetch("SELECT count(*) FROM payments WHERE state = 'failed'"))
