"""What customers read, to the letter."""

from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from uuid import UUID

import pytest

from counterfoil.domain.effects import EffectKind, Occasion
from counterfoil.domain.money import Money
from counterfoil.domain.order import Item
from counterfoil.domain.states import PaymentState
from counterfoil.mail.letters import FALLBACK, LANGUAGES, UnusableAddressError, Writer, language_of

GOLDEN = Path(__file__).parent / "golden"
WRITER = Writer("Tea & Mugs <orders@shop.example>", "https://pay.example")
RECEIPT = Occasion(
    payment_id=UUID("01900000-0000-7000-8000-000000000001"),
    kind=EffectKind.RECEIPT,
    began_at=datetime(2026, 3, 1, 12, 0, tzinfo=UTC),
    state=PaymentState.SUCCEEDED,
    order_id="order-1",
    money=Money(1999, "EUR"),
    items=(Item("mug", 2), Item("tea", 1)),
    address="kim@customer.example",
    locale="en",
    may_try_again=False,
)
FAILED = replace(RECEIPT, kind=EffectKind.CUSTOMER_NOTICE, state=PaymentState.FAILED, may_try_again=True)
OCCASIONS = {
    "receipt": RECEIPT,
    "failed": FAILED,
    "failed-for-good": replace(FAILED, may_try_again=False),
    "canceled": replace(FAILED, state=PaymentState.CANCELED),
}


def read(occasion: Occasion, writer: Writer = WRITER) -> EmailMessage:
    return message_from_bytes(writer.letter(occasion).content, policy=default)


def part(letter: EmailMessage, kind: str) -> str:
    body = letter.get_body((kind,))
    assert body is not None
    text: str = body.get_content()
    return text.replace("\r\n", "\n")


def shown(letter: EmailMessage) -> str:
    """A letter as it is kept for comparison: its headers, its text, its HTML."""
    headers = "".join(f"{name}: {value}\n" for name, value in letter.items())
    return f"{headers}\n{part(letter, 'plain')}\n{part(letter, 'html')}"


@pytest.mark.parametrize("language", sorted(LANGUAGES))
@pytest.mark.parametrize("name", OCCASIONS)
def test_every_letter_is_as_it_was_approved(name: str, language: str) -> None:
    """A person has read each of these, in each language; a change of theirs is seen in the review."""
    letter = shown(read(replace(OCCASIONS[name], locale=language)))
    assert letter == (GOLDEN / f"{name}.{language}.eml").read_text("utf-8")


def test_every_approved_letter_is_still_written() -> None:
    """There are English, German and French, and no sample is left behind."""
    assert {"en", "de", "fr"} <= LANGUAGES
    assert {path.name for path in GOLDEN.iterdir()} == {f"{name}.{one}.eml" for name in OCCASIONS for one in LANGUAGES}


@pytest.mark.parametrize(
    ("locale", "language"),
    [("de-AT", "de"), ("FR", "fr"), ("en-GB", "en"), ("ja-JP", FALLBACK), (None, FALLBACK), ("zz", FALLBACK)],
)
def test_the_language_is_the_orders_or_english(locale: str | None, language: str) -> None:
    """A region speaks its language; one that we have no templates in is answered in English."""
    assert language_of(locale) == language
    assert read(replace(RECEIPT, locale=locale))["Content-Language"] == language


def test_what_others_wrote_is_text_and_never_markup() -> None:
    """A script as an item's name is shown, and does not run (J29)."""
    letter = read(replace(RECEIPT, items=(Item("<script>alert(1)</script>", 1), Item('"><img/src=x>', 1))))
    html = part(letter, "html")
    assert "<script" not in html
    assert "<img" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<script>alert(1)</script>" in part(letter, "plain")


@pytest.mark.parametrize("order_id", ["order\r\nBcc: all@shop.example", "order\nX: y", "{{7*7}}", "order\0"])
def test_nothing_ends_a_header_early(order_id: str) -> None:
    """Whatever an order is called, it adds no header and is no template."""
    letter = read(replace(RECEIPT, order_id=order_id))
    assert letter.keys() == read(RECEIPT).keys()
    assert "49" not in letter["Subject"]


@pytest.mark.parametrize(
    "address",
    [
        "a,b@c.example",
        "<x>@y.example",
        "a@b@c",
        "a@..",
        "a@",
        "@b",
        "",
        "\x01@b",
        "a;b@c",
        "a(b)@c",
        "jür@x.example",
        "a@b,c",
        "a\r\nBcc:x@y",
        "a@b\r\nDATA",
        f"a@{'x' * 64}.example",
    ],
)
def test_what_is_no_single_address_gets_no_letter(address: str) -> None:
    """It is said so, without a word of it: it may be a person's."""
    with pytest.raises(UnusableAddressError) as caught:
        WRITER.letter(replace(RECEIPT, address=address))
    assert str(caught.value) == ""


def test_a_domain_in_other_letters_is_written_as_the_name_system_has_it() -> None:
    """So that every server can deliver to it."""
    assert WRITER.letter(replace(RECEIPT, address="kim@exämple.de")).recipient == "kim@xn--exmple-cua.de"


def test_the_same_occasion_is_the_same_letter_to_the_byte() -> None:
    """Its Message-ID names payment and effect: whoever gets it twice can tell."""
    first, second = WRITER.letter(RECEIPT), WRITER.letter(replace(RECEIPT))
    assert first.content == second.content
    assert read(RECEIPT)["Message-ID"] == "<01900000-0000-7000-8000-000000000001.receipt@shop.example>"
    assert read(FAILED)["Message-ID"] != read(RECEIPT)["Message-ID"]


def test_amounts_have_their_currencys_decimals() -> None:
    """500 yen are 500 yen."""
    assert "500 JPY" in read(replace(RECEIPT, money=Money(500, "JPY")))["Subject"]


def test_without_an_address_of_our_own_there_is_no_link() -> None:
    """The customer is sent back to the shop."""
    letter = read(FAILED, Writer("orders@shop.example", None))
    assert "http" not in part(letter, "plain")
    assert "go back to the shop" in part(letter, "plain")
    assert "href" not in part(letter, "html")


def test_a_letter_loads_nothing_and_runs_nothing() -> None:
    """No picture, script, style sheet or form: the only address in it is the link to try again."""
    html = part(read(FAILED), "html").lower()
    assert html.count("http") == html.count('href="https://pay.example/try-again/') == 1
    for word in ("<script", "<img", "<link", "<form", "<iframe", "src=", "url("):
        assert word not in html
