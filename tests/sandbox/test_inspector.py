import re
from typing import TYPE_CHECKING

import pytest

from stripe_sandbox.sandbox import Server

if TYPE_CHECKING:
    from tests.sandbox.conftest import Http, Receiver


def _text(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


async def test_the_page_lists_what_is_held(http: "Http", server: Server, receiver: "Receiver") -> None:
    """Payments, charges, events, endpoints, deliveries and requests, each with a link to its life."""
    await http.post("/v1/webhook_endpoints", {"url": receiver.url, "enabled_events[]": "*"})
    paid = (await http.pay(key="k-7")).body
    await server.sandbox.settle()

    page = await http.get("/", Authorization="")

    assert page.status == 200
    for heading in ("Payments", "Charges", "Events", "Webhook endpoints", "Deliveries", "Requests"):
        assert f"<h2>{heading}</h2><table>" in page.body
    for shown in (
        "19.99 EUR",
        "succeeded",
        "payment_intent.succeeded",
        receiver.url,
        "POST /v1/payment_intents",
        "k-7",
    ):
        assert shown in _text(page.body)
    for identifier in (paid["id"], paid["latest_charge"]):
        assert f'href="/objects/{identifier}"' in page.body


async def test_an_empty_sandbox_says_so(http: "Http") -> None:
    """Before anything happened there are no tables, and still a page."""
    page = await http.get("/")

    assert (page.status, page.body.count("None yet."), "<table>" in page.body) == (200, 6, False)


async def test_an_objects_life_is_told_in_order(http: "Http", server: Server, receiver: "Receiver") -> None:
    """Each request that had to do with it, then what it caused, then who heard of it; and the object itself."""
    hook = {"url": receiver.url, "enabled_events[]": "payment_intent.canceled"}
    endpoint = (await http.post("/v1/webhook_endpoints", hook)).body["id"]
    intent = (await http.pay(capture_method="manual", **{"metadata[note]": "<b>bold</b>"})).body["id"]
    await http.advance(60)
    await http.post(f"/v1/payment_intents/{intent}/cancel")
    await server.sandbox.settle()
    await http.pay()

    page = (await http.get(f"/objects/{intent}")).body

    told = re.findall(r"<td>(request|event|delivery)</td><td>(.*?)</td>", page)
    assert [(sort, _text(what).split(" ", 2)[2].strip()) for sort, what in told] == [
        ("request", "POST /v1/payment_intents"),
        ("event", "payment_intent.created"),
        ("event", "charge.succeeded"),
        ("event", "payment_intent.amount_capturable_updated"),
        ("request", f"POST /v1/payment_intents/{intent}/cancel"),
        ("event", "charge.refunded"),
        ("event", "payment_intent.canceled"),
        ("delivery", f"to {endpoint}"),
    ]
    assert "&lt;b&gt;bold&lt;/b&gt;" in page
    assert "<b>bold" not in page


async def test_an_unknown_object_is_404(http: "Http") -> None:
    """With a way back."""
    missing = await http.get("/objects/pi_nothing")

    assert (missing.status, 'href="/"' in missing.body) == (404, True)


@pytest.mark.parametrize(("outcome", "status"), [("approve", "succeeded"), ("refuse", "requires_payment_method")])
async def test_a_challenge_is_answered_from_the_page(http: "Http", outcome: str, status: str) -> None:
    """The object's page asks and comes back to itself; once answered there is nothing to answer."""
    intent = (await http.pay("pm_card_threeDSecure2Required", return_url="https://shop.example/back")).body["id"]
    asking = (await http.get(f"/objects/{intent}")).body

    vague = await http.post(f"/objects/{intent}/challenge", "outcome=perhaps")
    answered = await http.post(f"/objects/{intent}/challenge", f"outcome={outcome}")
    again = await http.post(f"/objects/{intent}/challenge", f"outcome={outcome}")

    assert (await http.get(f"/v1/payment_intents/{intent}")).body["status"] == status
    assert ("Approve</button>" in asking, "Approve</button>" in (await http.get(f"/objects/{intent}")).body) == (
        True,
        False,
    )
    assert (vague.status, answered.status, answered.headers["Location"], again.status) == (
        400, 303, f"/objects/{intent}", 404,
    )  # fmt: skip


async def test_the_clock_is_advanced_from_the_page(http: "Http") -> None:
    """By a time as people write it; what is none, or too far, is refused with a sentence."""
    moved = await http.post("/clock", "advance=1d12h")
    nonsense = await http.post("/clock", "advance=soon")
    far = await http.post("/clock", "advance=400d")

    assert (moved.status, nonsense.status, far.status) == (303, 400, 400)
    assert (await http.get("/_sandbox/clock")).body["offset_seconds"] == 129_600
    assert "129,600 s ahead" in (await http.get("/")).body


async def test_other_sites_cannot_move_it(http: "Http") -> None:
    """A form on somebody else's page that posts here is refused."""
    refused = await http.send("POST", "/clock", "advance=1d", {"Sec-Fetch-Site": "cross-site"})

    assert (refused.status, (await http.get("/_sandbox/clock")).body["offset_seconds"]) == (403, 0)


@pytest.mark.parametrize("path", ["/", "/objects/pi_nothing", "/receipts/ch_nothing", "/redirect/authenticate/pi_x"])
async def test_pages_load_and_run_nothing(http: "Http", path: str) -> None:
    """Neither scripts nor anything from elsewhere, and the policy says so to the browser."""
    page = await http.get(path)

    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert re.findall(r"<script|<img|<link|<iframe|\bon\w+=|url\(|@import|src=", page.body) == []
