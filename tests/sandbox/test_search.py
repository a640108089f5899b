from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import aiohttp
import pytest
import stripe
from tests.sandbox.conftest import NOON, Http

from stripe_sandbox.clock import Clock
from stripe_sandbox.sandbox import Sandbox

if TYPE_CHECKING:
    from tests.sandbox.conftest import Reply

LAG = 30


async def _search(http: "Http", query: str, more: str = "") -> "Reply":
    return await http.get(f"/v1/payment_intents/search?query={quote(query)}{more}")


async def _found(http: "Http", query: str) -> list[int]:
    """The amounts of what is found."""
    return [intent["amount"] for intent in (await _search(http, query)).body["data"]]


async def test_searching_is_behind(http: "Http") -> None:
    """A payment is found only after the lag, and as it was then: a miss proves nothing."""
    intent = (await http.pay(**{"metadata[order_id]": "o-7", "capture_method": "manual"})).body
    at_once = await _found(http, "metadata['order_id']:'o-7'")
    await http.advance(LAG)
    later = await _found(http, "metadata['order_id']:'o-7'")
    await http.post(f"/v1/payment_intents/{intent['id']}/capture")
    stale = (await _search(http, "metadata['order_id']:'o-7'")).body["data"][0]["status"]
    await http.advance(LAG)
    fresh = (await _search(http, "metadata['order_id']:'o-7'")).body["data"][0]["status"]

    assert [at_once, later, stale, fresh] == [[], [1999], "requires_capture", "succeeded"]


async def test_the_lag_is_settable() -> None:
    """A sandbox without a lag finds at once; it can be set again while it runs."""
    async with (
        Sandbox(clock=Clock(lambda: NOON), search_lag_seconds=0).serve() as server,
        aiohttp.ClientSession() as session,
    ):
        http = Http(session, server.url)
        await http.pay(amount="500")
        at_once = await _found(http, "amount:500")
        server.sandbox.account().payment_intents.lag_seconds = 5.0
        await http.pay(amount="600")
        behind = await _found(http, "amount:600")
        await http.advance(5)

        assert [at_once, behind, await _found(http, "amount:600")] == [[500], [], [600]]


@pytest.mark.parametrize(
    ("query", "amounts"),
    [
        ("amount>600", [900, 700]),
        ("amount>=700 AND amount<900", [700]),
        ("amount:500 OR amount:900", [900, 500]),
        ("status:'succeeded'", [900, 500]),
        ("-status:'succeeded'", [700]),
        ("status:'succeeded' and currency:\"EUR\"", [900, 500]),
        ("metadata['city']:'zürich'", [900]),
        ('metadata["city"]~"üri"', [900]),
        ("metadata['it\\'s']:'a \"b\" c'", [500]),
        ("metadata['city']:null", [700, 500]),
        ("-metadata['city']:null", [900]),
        ("customer:null", [900, 700, 500]),
        (f"created>{NOON:.0f}", []),
        (f"created<={NOON:.0f} AND amount<'600'", [500]),
        ("metadata['number']:7", [700]),
    ],
)
async def test_the_query_language(http: "Http", query: str, amounts: list[int]) -> None:
    """Numbers compare, texts match whole or in part, case aside, null is absence, minus turns a clause round."""
    await http.pay(amount="500", **{"metadata[it's]": 'a "b" c'})
    await http.pay("pm_card_chargeDeclined", amount="700", **{"metadata[number]": "7"})
    await http.pay(amount="900", **{"metadata[city]": "Zürich"})
    await http.advance(LAG)

    assert amounts == await _found(http, query)


@pytest.mark.parametrize(
    "query",
    [
        "amount",
        "amount:",
        "amount:'five'",
        "amount~500",
        "colour:'red'",
        "status>'a'",
        "status:succeeded",
        "metadata['a'",
        "metadata['a']~'ab'",
        "amount:5 amount:6",
        "amount:5 AND",
        "amount:5 AND amount:6 OR amount:7",
        "(amount:5)",
        " AND ".join(["amount:5"] * 11),
    ],
)
async def test_what_is_no_query_is_refused(http: "Http", query: str) -> None:
    """A query that Stripe could not read is its 400, never an empty answer."""
    refused = await _search(http, query)

    assert (refused.status, refused.error["param"]) == (400, "query")


async def test_pages_follow_each_other(sdk: stripe.StripeClient, http: "Http") -> None:
    """`next_page` leads on until nothing is left; the SDK walks them by itself and expands what it finds."""
    for amount in (500, 600, 700):
        await http.pay(amount=str(amount))
    await http.advance(LAG)
    sent: Any = {"query": "amount>0", "limit": 2, "expand": ["data.latest_charge"]}
    first = await sdk.payment_intents.search_async(sent)
    walked = [intent async for intent in first.auto_paging_iter()]
    wrong = [(await _search(http, "amount>0", f"&page={page}")).status for page in ("x", "9")]

    assert (first.has_more, len(first.data), wrong) == (True, 2, [400, 400])
    assert [intent.amount for intent in walked] == [700, 600, 500]
    assert all(isinstance(intent.latest_charge, stripe.Charge) for intent in walked)
