import base64
import io
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.sandbox.conftest import Http

INTENTS = "/v1/payment_intents"
VALID = "amount=500&currency=usd&payment_method_types[]=card"


@pytest.mark.parametrize(
    ("form", "param", "code"),
    [
        ("currency=usd", "amount", "parameter_missing"),
        ("amount=500", "currency", "parameter_missing"),
        ("amount=five&currency=usd", "amount", "parameter_invalid_integer"),
        ("amount=5.00&currency=usd", "amount", "parameter_invalid_integer"),
        ("amount=0&currency=usd", "amount", "parameter_invalid_integer"),
        ("amount=-500&currency=usd", "amount", "parameter_invalid_integer"),
        ("amount=&currency=usd", "amount", "parameter_invalid_empty"),
        ("amount=500&currency=", "currency", "parameter_invalid_empty"),
        ("amount=500&currency=xxx", "currency", None),
        ("amount=49&currency=usd", "amount", "amount_too_small"),
        ("amount=100000000&currency=usd", "amount", "amount_too_large"),
        ("amount=49&currency=jpy", "amount", "amount_too_small"),
        ("amount=50050&currency=isk", "amount", "parameter_invalid_integer"),
        ("amount=5001&currency=kwd", "amount", "parameter_invalid_integer"),
        (f"{VALID}&colour=red", "colour", "parameter_unknown"),
        (f"{VALID}&shipping[colour]=red", "shipping[colour]", "parameter_unknown"),
        (f"{VALID}&capture_method=later", "capture_method", None),
        (f"{VALID}&confirm=yes", "confirm", None),
        (f"{VALID}&receipt_email=nobody", "receipt_email", "email_invalid"),
        (f"{VALID}&confirm=true&payment_method=pm_card_visa&return_url=nowhere", "return_url", "url_invalid"),
        (f"{VALID}&return_url=https://a.example/", "return_url", None),
        (f"{VALID}&statement_descriptor_suffix={'x' * 23}", "statement_descriptor_suffix", None),
        (f"{VALID}&metadata[{'k' * 41}]=v", "metadata", None),
        (f"{VALID}&metadata[k]={'v' * 501}", "metadata[k]", None),
        (VALID + "".join(f"&metadata[k{number}]=v" for number in range(51)), "metadata", None),
        (f"{VALID}&metadata=text", "metadata", "parameter_invalid_string_blank"),
        (f"{VALID}&payment_method_types[]=cash", "payment_method_types[1]", None),
        ("amount=500&currency=usd&payment_method_types=card", "payment_method_types", None),
        (f"{VALID}&amount[gte]=5", "amount", None),
        (f"{VALID}&expand[]=colour", "expand", None),
        (f"{VALID}&expand[]=latest_charge.payment_intent.latest_charge.payment_intent.customer", "expand", None),
        (f"{VALID}&customer=cus_nobody", "customer", "resource_missing"),
        (f"{VALID}&payment_method=pm_nothing", "payment_method", "resource_missing"),
        (
            f"{VALID}&payment_method_data[type]=card&payment_method_data[card][token]=tok_nothing",
            "payment_method_data[card][token]",
            "resource_missing",
        ),
        (
            f"{VALID}&payment_method_data[type]=card&payment_method_data[card][number]=4242424242424242",
            "payment_method_data[card][number]",
            None,
        ),
        (
            f"{VALID}&payment_method_data[type]=card&payment_method_data[billing_details][name]=Ada",
            "payment_method_data[card][token]",
            "parameter_missing",
        ),
        (
            f"{VALID}&payment_method=pm_usBankAccount_success",
            "payment_method",
            "payment_intent_incompatible_payment_method",
        ),
        (f"{VALID}&automatic_payment_methods[enabled]=true", "payment_method_types", None),
        (f"{VALID}&confirm=true", None, "payment_intent_unexpected_state"),
        (
            "amount=500&currency=usd&confirm=true&payment_method=pm_card_visa",
            "return_url",
            None,
        ),
        (f"{VALID}&application_fee_amount=5", "application_fee_amount", "parameter_not_covered_by_sandbox"),
        ("amount=500&currency=usd&metadata[a]=\xff", None, None),
    ],
)
async def test_what_stripe_refuses_is_refused(http: "Http", form: str, param: str | None, code: str | None) -> None:
    """A request that Stripe would not take is its 400, naming the parameter and the code, and makes nothing."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    refused = await http.send("POST", INTENTS, form.encode("latin-1"), headers)

    assert (refused.status, refused.error["type"]) == (400, "invalid_request_error")
    assert (param, code) == (refused.error.get("param"), refused.error.get("code"))
    assert refused.error["message"]
    assert (await http.get(INTENTS)).body["data"] == []
    if code is not None:
        assert refused.error["doc_url"].endswith(code.replace("_", "-"))


@pytest.mark.parametrize(
    ("query", "param", "code"),
    [
        ("limit=0", "limit", "parameter_invalid_integer"),
        ("limit=101", "limit", "parameter_invalid_integer"),
        ("starting_after=pi_nothing", "starting_after", "resource_missing"),
        ("ending_before=pi_nothing", "ending_before", "resource_missing"),
        ("created[after]=5", "created[after]", "parameter_unknown"),
        ("created=today", "created", "parameter_invalid_integer"),
        ("customer=cus_nobody", "customer", "resource_missing"),
        ("page=2", "page", "parameter_unknown"),
    ],
)
async def test_lists_refuse_what_they_do_not_know(http: "Http", query: str, param: str, code: str) -> None:
    """A filter or cursor that means nothing is refused, never ignored."""
    refused = await http.get(f"{INTENTS}?{query}")

    assert (400, param, code) == (refused.status, refused.error["param"], refused.error["code"])


@pytest.mark.parametrize(
    ("path", "param"),
    [
        ("/v1/payment_intents/pi_nothing", "intent"),
        ("/v1/charges/ch_nothing", "charge"),
        ("/v1/customers/cus_nothing", "customer"),
        ("/v1/payment_methods/pm_nothing", "payment_method"),
        ("/v1/events/evt_nothing", "id"),
        ("/v1/webhook_endpoints/we_nothing", "webhook_endpoint"),
        ("/v1/balance_transactions/txn_nothing", "id"),
        ("/v1/mandates/mandate_nothing", "mandate"),
    ],
)
async def test_an_unknown_id_is_404(http: "Http", path: str, param: str) -> None:
    """Retrieving what does not exist names the id's parameter."""
    missing = await http.get(path)

    assert (404, "resource_missing", param) == (missing.status, missing.error["code"], missing.error["param"])
    assert path.rpartition("/")[2] in missing.error["message"]


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        ("", None),
        ("Bearer ", None),
        ("Bearer nonsense", None),
        ("Bearer sk_test_", None),
        ("Basic ???", None),
        ("Bearer pk_test_public", "secret_key_required"),
    ],
)
async def test_without_a_secret_key_nothing_answers(http: "Http", authorization: str, code: str | None) -> None:
    """No key, or one that is not secret, is Stripe's 401."""
    refused = await http.get("/v1/charges", Authorization=authorization)

    assert (401, "invalid_request_error", code) == (
        refused.status,
        refused.error["type"],
        refused.error.get("code"),
    )
    assert "WWW-Authenticate" in refused.headers


async def test_a_refused_key_is_shown_masked(http: "Http") -> None:
    """The error that names a key never shows it whole."""
    refused = await http.get("/v1/charges", Authorization="Bearer sk_other_abcdefghijkl")

    assert "abcdefgh" not in refused.error["message"]
    assert refused.error["message"].endswith("ijkl")


async def test_basic_authentication_works(http: "Http") -> None:
    """`curl -u sk_test_…:` is as good as a bearer token."""
    basic = base64.b64encode(b"sk_test_basic:").decode()

    answer = await http.get("/v1/charges", Authorization=f"Basic {basic}")

    assert answer.status == 200


async def test_an_unknown_address_is_404(http: "Http") -> None:
    """What the API does not have is an error in its own shape."""
    missing = await http.get("/v1/moon")

    assert (missing.status, missing.error["type"]) == (404, "invalid_request_error")
    assert "GET: /v1/moon" in missing.error["message"]


async def test_json_is_refused(http: "Http") -> None:
    """The API takes forms; JSON is told so rather than read as an empty form."""
    refused = await http.send("POST", INTENTS, b'{"amount": 500}', {"Content-Type": "application/json"})

    assert (refused.status, "application/x-www-form-urlencoded" in refused.error["message"]) == (400, True)


async def test_another_api_version_is_refused(http: "Http") -> None:
    """The sandbox speaks one version, and says so rather than answer in another shape."""
    refused = await http.get("/v1/charges", **{"Stripe-Version": "2020-08-27"})

    assert (refused.status, "2024-06-20" in refused.error["message"]) == (400, True)


async def test_connected_accounts_are_refused(http: "Http") -> None:
    """A call for another account must not quietly act on this one."""
    refused = await http.get("/v1/charges", **{"Stripe-Account": "acct_1"})

    assert refused.status == 400


async def test_a_body_has_its_limit(http: "Http") -> None:
    """Two mebibytes are no request of anybody's."""
    body = io.BytesIO(b"description=" + b"x" * 2**21)
    key = {"Authorization": "Bearer sk_test_x"}

    async with http.session.post(http.url + INTENTS, data=body, headers=key) as refused:
        error = (await refused.json())["error"]

    assert (refused.status, error["type"]) == (413, "invalid_request_error")


async def test_every_answer_can_be_found_again(http: "Http") -> None:
    """`Request-Id` and `request_log_url` lead to the request in the log, whatever the answer was."""
    refused = await http.post(INTENTS, {"amount": "x", "currency": "usd"})

    path = refused.error["request_log_url"].removeprefix(http.url)
    logged = (await http.get(path)).body
    assert refused.headers["Request-Id"] == logged["id"]
    assert (
        logged["method"],
        logged["path"],
        logged["body"],
        logged["status"],
    ) == ("POST", INTENTS, "amount=x&currency=usd", 400)
    assert (logged["error_code"], refused.headers["Stripe-Version"]) == ("parameter_invalid_integer", "2024-06-20")


async def test_a_card_number_is_never_logged(http: "Http") -> None:
    """Whoever sends a number by mistake finds only its last digits in the log."""
    form = {"type": "card", "card[number]": "4242424242424242", "card[token]": "tok_visa"}
    refused = await http.post("/v1/payment_methods", form)

    logged = (await http.get(f"/_sandbox/requests/{refused.headers['Request-Id']}")).body
    assert (refused.status, refused.error["param"]) == (400, "card[number]")
    assert "4242424242" not in logged["body"]
    assert "4242" in logged["body"]
