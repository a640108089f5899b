"""The pages as a real browser shows them, driven with the keyboard."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests import browser
from tests.browser import Browser

if TYPE_CHECKING:
    from tests.sandbox.conftest import Http

pytestmark = browser.needed


@pytest.fixture
async def tab(tmp_path: Path) -> AsyncIterator[Browser]:
    """A tab of a browser that has never been used."""
    async with browser.opened(tmp_path / "profile") as tab:
        yield tab


async def test_a_person_follows_a_payment_and_approves_it(http: "Http", tab: Browser) -> None:
    """With the keyboard alone: from the list to the payment, to the bank's question, to a payment that succeeded."""
    intent = (await http.pay("pm_card_threeDSecure2Required", return_url="https://shop.example/back")).body["id"]

    await tab.open(f"{http.url}/")
    await tab.tab_to(intent)
    await tab.press("Enter", 13)
    await tab.until(f"location.pathname === '/objects/{intent}'")
    await tab.tab_to("Approve")
    await tab.press("Enter", 13)
    heading = await tab.until("document.querySelector('h1').innerText.includes('succeeded')")

    assert heading
    assert (await http.get(f"/v1/payment_intents/{intent}")).body["status"] == "succeeded"
    assert await tab.evaluate("getComputedStyle(document.querySelector('table')).borderCollapse") == "collapse"


async def test_a_person_advances_the_clock(http: "Http", tab: Browser) -> None:
    """The form on the first page moves time and comes back to it."""
    await tab.open(f"{http.url}/")
    await tab.tab_to("advance")
    await tab.press("Enter", 13)
    shown = await tab.until("document.body.innerText.includes('86,400 s ahead')")

    assert shown
    assert (await http.get("/_sandbox/clock")).body["offset_seconds"] == 86_400


async def test_a_bank_sends_the_customer_back_to_the_shop(http: "Http", tab: Browser) -> None:
    """The page that the shop's customer sees leads back to `return_url`, which the policy of the page allows."""
    back = f"{http.url.replace('127.0.0.1', 'localhost')}/receipts/none"
    asked = (await http.pay("pm_card_threeDSecure2Required", return_url=back)).body

    await tab.open(asked["next_action"]["redirect_to_url"]["url"])
    await tab.tab_to("Refuse")
    await tab.press("Enter", 13)
    arrived = await tab.until("location.search.includes('redirect_status=failed') && location.href")

    assert arrived.startswith(back)
