"""The mailbox of `counterfoil up` as a real browser shows it."""

from pathlib import Path

from tests import browser
from tests.acceptance.test_up import STOPPED_SECONDS, counterfoil, running
from tests.cli.waiting import until

pytestmark = browser.needed


async def test_a_person_reads_the_receipt(
    home: Path, port_base: int, environment: dict[str, str], tmp_path: Path
) -> None:
    """With the keyboard alone: from the list to the letter, whose text and page are both there."""
    customer = ("--email", "kim@shop.example", "--locale", "fr", "--order", "order-1")
    subject, mailbox = "Reçu de la commande order-1 : 7.50 EUR", f"http://127.0.0.1:{port_base + 7}/"
    with running(home, port_base, environment) as process:
        paid = counterfoil(home, environment, "pay", "7.50", "EUR", *customer)
        until(lambda: subject in counterfoil(home, environment, "mail", "list").stdout)
        async with browser.opened(tmp_path / "profile") as tab:
            await tab.open(mailbox)
            await tab.tab_to(subject)
            await tab.press("Enter", 13)
            await tab.until("location.pathname.startsWith('/letters/')")
            heading = await tab.until("document.querySelector('h1')?.innerText")
            text = await tab.evaluate("document.querySelector('pre').innerText")
            page = await tab.evaluate("document.querySelector('iframe').src")
            await tab.open(page)
            shown = await tab.evaluate("document.body.innerText")
            language = await tab.evaluate("document.documentElement.lang")
        process.terminate()
        process.wait(STOPPED_SECONDS)

    assert (paid.returncode, heading, language) == (0, subject, "fr")
    assert [("7.50 EUR" in said, "order-1" in said) for said in (text, shown)] == [(True, True)] * 2
