"""Every other test here holds what it sees against Stripe's file; these show that the holding works."""

import copy
from typing import TYPE_CHECKING, Any

import pytest
from tests.sandbox import openapi

if TYPE_CHECKING:
    from tests.sandbox.conftest import Http

SPECIFICATION = openapi.specification()
pytestmark = pytest.mark.skipif(SPECIFICATION is None, reason=openapi.WHY_SKIPPED)


def _problems(
    body: Any, *, method: str = "GET", path: str = "/v1/payment_intents/pi_1", status: int = 200
) -> list[str]:
    assert SPECIFICATION is not None
    return SPECIFICATION.answer_problems(method, path, status, body)


async def test_a_payment_is_as_stripes_file_says(http: "Http") -> None:
    """A PaymentIntent with its charge and that charge's transaction inside has no field too many, too few or odd."""
    paid = await http.pay(capture_method="automatic", **{"expand[]": "latest_charge.balance_transaction"})

    assert isinstance(paid.body["latest_charge"]["balance_transaction"], dict)
    assert _problems(paid.body) == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"amount": "1999"}, ".amount is str, not integer"),
        ({"amount": True}, ".amount is bool, not integer"),
        ({"amount": None}, ".amount is null"),
        ({"status": "done"}, ".status is 'done', not one of"),
        ({"colour": "red"}, ".colour is not in the file"),
        ({"metadata": {"a": 5}}, ".metadata.a is int, not string"),
        ({"payment_method_types": [5]}, ".payment_method_types[0] is int, not string"),
        ({"payment_method_types": "card"}, ".payment_method_types is str, not array"),
        ({"customer": {"id": "cus_1", "object": "customer"}}, ".customer.created is missing"),
        ({"last_payment_error": {"type": "bad_luck"}}, ".last_payment_error.type is 'bad_luck', not one of"),
    ],
)
async def test_what_stripe_would_not_answer_is_seen(http: "Http", change: dict[str, Any], problem: str) -> None:
    """One wrong field in an answer is named."""
    body = {**copy.deepcopy((await http.pay()).body), **change}

    problems = _problems(body)
    assert [found.startswith(problem) for found in problems if found.startswith(problem)] == [True]


async def test_what_is_missing_is_seen(http: "Http") -> None:
    """A field that Stripe always sends, a list that is none, and an error without its type."""
    intent = {name: value for name, value in (await http.pay()).body.items() if name != "client_secret"}
    del intent["currency"]

    assert _problems(intent) == [".currency is missing"]
    assert ".url is missing" in _problems({"object": "list", "data": [], "has_more": False}, path="/v1/charges")
    assert _problems({"error": {"message": "no"}}, status=400) == ["error.error.type is missing"]
    assert _problems({}, path="/v1/nothing") == ["Stripe has no GET /v1/nothing"]


async def test_an_event_is_held_against_its_object(http: "Http") -> None:
    """An event whose object is not as Stripe's is seen."""
    await http.pay()
    event = (await http.get("/v1/events")).body["data"][0]
    assert SPECIFICATION is not None
    whole = SPECIFICATION.event_problems(event)
    del event["data"]["object"]["amount"]

    assert (whole, [f"{event['type']}.amount is missing"]) == ([], SPECIFICATION.event_problems(event))
