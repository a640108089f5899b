from typing import TYPE_CHECKING

import pytest
import stripe

if TYPE_CHECKING:
    from tests.sandbox.conftest import Http


async def test_a_customer_is_kept_and_changed(sdk: stripe.StripeClient) -> None:
    """Created, updated, retrieved and found by e-mail; each change is told."""
    made = await sdk.customers.create_async(
        {"email": "ada@example.com", "name": "Ada", "address": {"city": "Turin"}, "metadata": {"ours": "c-1"}}
    )
    await sdk.customers.create_async({"email": "bob@example.com"})

    await sdk.customers.update_async(made.id, {"name": "", "phone": "+39 011"})

    kept = await sdk.customers.retrieve_async(made.id)
    found = await sdk.customers.list_async({"email": "ada@example.com"})
    told = (await sdk.events.list_async({"type": "customer.*"})).data
    assert (kept.name, kept.phone, kept.email, dict(kept.metadata or {})) == (
        None,
        "+39 011",
        "ada@example.com",
        {"ours": "c-1"},
    )
    assert [customer.id for customer in found.data] == [made.id]
    assert [event.type for event in told] == ["customer.updated", "customer.created", "customer.created"]
    assert dict(told[0].data.previous_attributes or {}) == {"name": "Ada", "phone": None}


async def test_a_default_method_is_set_up_in_one_request(sdk: stripe.StripeClient) -> None:
    """A test method given as `payment_method` and as the default is attached and becomes it."""
    made = await sdk.customers.create_async(
        {"payment_method": "pm_card_visa", "invoice_settings": {"default_payment_method": "pm_card_visa"}}
    )

    methods = (await sdk.payment_methods.list_async({"customer": made.id, "type": "card"})).data
    assert made.invoice_settings is not None
    assert [method.id for method in methods] == [made.invoice_settings.default_payment_method]


async def test_only_an_attached_method_becomes_the_default(sdk: stripe.StripeClient, http: "Http") -> None:
    """A method that is nobody's, or another's, is refused; the customer's own is taken, and can be unset."""
    first = await sdk.customers.create_async({})
    second = await sdk.customers.create_async({})
    method = await sdk.payment_methods.attach_async("pm_card_visa", {"customer": first.id})
    form = {"invoice_settings[default_payment_method]": method.id}

    refused = await http.post(f"/v1/customers/{second.id}", form)
    loose = await http.post("/v1/customers", form)
    taken = await http.post(f"/v1/customers/{first.id}", form)
    unset = await http.post(f"/v1/customers/{first.id}", {"invoice_settings[default_payment_method]": ""})

    for no in (refused, loose):
        assert (no.status, no.error["code"], no.error["param"]) == (
            400,
            "resource_missing",
            "invoice_settings[default_payment_method]",
        )
    assert taken.body["invoice_settings"]["default_payment_method"] == method.id
    assert unset.body["invoice_settings"]["default_payment_method"] is None


async def test_a_method_belongs_to_one_customer(sdk: stripe.StripeClient) -> None:
    """Attaching twice to the same customer changes nothing; to another is refused; a detached method is used up."""
    first = await sdk.customers.create_async({})
    second = await sdk.customers.create_async({})
    method = await sdk.payment_methods.attach_async("pm_card_visa", {"customer": first.id})

    again = await sdk.payment_methods.attach_async(method.id, {"customer": first.id})
    with pytest.raises(stripe.InvalidRequestError, match="already been attached"):
        await sdk.payment_methods.attach_async(method.id, {"customer": second.id})
    detached = await sdk.payment_methods.detach_async(method.id)
    with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
        await sdk.payment_methods.attach_async(method.id, {"customer": first.id})

    assert (again.customer, detached.customer) == (first.id, None)


@pytest.mark.parametrize(("name", "kind"), [("pm_card_visa", "card"), ("pm_sepaDebit_success_de", "sepa_debit")])
async def test_reading_a_test_method_makes_one(sdk: stripe.StripeClient, name: str, kind: str) -> None:
    """A documented test id that is retrieved is a new method each time, as at Stripe; a made one stays itself."""
    first, second = [await sdk.payment_methods.retrieve_async(name) for _ in range(2)]
    kept = await sdk.payment_methods.retrieve_async(first.id)

    assert (first.type, kept) == (kind, first)
    assert len({name, first.id, second.id}) == 3


async def test_a_test_method_is_unknown_in_live_mode(http: "Http") -> None:
    """Where real money is, nothing is made of its name, neither to look at nor to keep."""
    key = {"Authorization": "Bearer sk_live_sandbox"}
    customer = (await http.send("POST", "/v1/customers", {}, key)).body["id"]
    read = await http.send("GET", "/v1/payment_methods/pm_card_visa", None, key)
    attached = await http.send("POST", "/v1/payment_methods/pm_card_visa/attach", {"customer": customer}, key)

    assert [(answer.status, answer.error["code"]) for answer in (read, attached)] == [(404, "resource_missing")] * 2


async def test_a_detached_method_is_nobodys_default(sdk: stripe.StripeClient) -> None:
    """Taking the default method away leaves the customer without one."""
    made = await sdk.customers.create_async(
        {"payment_method": "pm_card_visa", "invoice_settings": {"default_payment_method": "pm_card_visa"}}
    )
    assert made.invoice_settings is not None

    await sdk.payment_methods.detach_async(str(made.invoice_settings.default_payment_method))

    left = (await sdk.customers.retrieve_async(made.id)).invoice_settings
    assert left is not None
    assert left.default_payment_method is None
