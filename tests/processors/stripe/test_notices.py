"""Which event a delivery brings, and what it says."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from counterfoil.domain.states import AttemptHappening
from counterfoil.domain.verdict import Action
from counterfoil.processors.port import NotAnEvent, Silence, Word
from counterfoil.processors.stripe import notices

OURS = UUID("01900000-0000-7000-8000-000000000001")


def body(**changes: Any) -> bytes:
    """An event as Stripe writes it, changed."""
    thing = {"id": "pi_1", "object": "payment_intent", "status": "succeeded", "amount_received": 1999}
    thing |= {"latest_charge": "ch_1", "metadata": {"payment_id": str(OURS)}}
    event = {
        "id": "evt_1",
        "object": "event",
        "api_version": "2024-06-20",
        "livemode": False,
        "type": "payment_intent.succeeded",
        "data": {"object": thing},
    }
    return json.dumps(event | changes).encode()


def charge(**changes: Any) -> dict[str, Any]:
    """A charge of ours that holds its money, changed."""
    thing = {"id": "ch_1", "object": "charge", "status": "succeeded", "captured": False, "amount": 1999}
    card = {"capture_before": 1_772_971_200}
    more = {"payment_intent": "pi_1", "payment_method_details": {"card": card}, "metadata": {"payment_id": str(OURS)}}
    return thing | more | changes


@pytest.mark.parametrize("released", [{"refunded": True, "amount_refunded": 1999}, {}])
def test_a_hold_that_has_expired_is_canceled(released: dict[str, Any]) -> None:
    """By the type of its event, whether or not its charge shows what was let go."""
    word = notices.read(body(type="charge.expired", data={"object": charge(**released)}))
    assert isinstance(word, Word)
    assert word.verdict is not None
    assert (word.verdict.outcome, word.verdict.expired) == (AttemptHappening.CANCELED, True)


def test_a_hold_says_until_when_it_lasts() -> None:
    """In the charge of its event, which is where Stripe has it."""
    word = notices.read(body(type="charge.succeeded", data={"object": charge()}))
    assert isinstance(word, Word)
    assert word.verdict is not None
    assert (word.verdict.outcome, word.verdict.expired) == (AttemptHappening.AUTHORIZED, False)
    assert word.verdict.hold_ends_at == datetime(2026, 3, 8, 12, 0, tzinfo=UTC)


def thing_of(raw: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(raw)["data"]["object"]
    return found


def test_an_event_is_told_by_account_mode_and_id() -> None:
    """Those three, its type and its object are all that the receiver asks."""
    found = notices.identify(body(account="acct_1", livemode=True))
    expected = ("acct_1", True, "evt_1", "payment_intent.succeeded", "pi_1")
    assert expected == (found.account, found.livemode, found.event_id, found.type, found.object_id)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"\xef\xbb\xbf{}",
        b"\xff",
        b'{"id":"evt_1","id":"evt_2"}',
        b"{}",
        body(id=None),
        body(id=7),
        body(id=""),
        body(id="evt_" + "x" * 300),
        body(object="charge"),
        body(livemode="no"),
        b"[" * 3000,
    ],
)
def test_what_is_no_event_is_told_apart(raw: bytes) -> None:
    """Signed or not: without an id of its own there is nothing to keep it by."""
    with pytest.raises(NotAnEvent):
        notices.identify(raw)


def test_an_escaped_nul_is_made_visible() -> None:
    """PostgreSQL keeps no NUL in text; the body keeps it as it came."""
    assert notices.identify(body(id="evt_\0")).event_id == "evt_␀"


def test_a_notice_names_our_payment_its_charge_and_what_happened() -> None:
    """All that conclude needs."""
    word = notices.read(body())
    assert isinstance(word, Word)
    assert word.verdict is not None
    found = (word.payment_id, word.intent_id, word.charge_id, word.verdict.outcome, word.verdict.cause.reference)
    assert found == (OURS, "pi_1", "ch_1", AttemptHappening.CAPTURED, "evt_1")


def test_what_is_funded_in_part_still_waits_for_its_customer() -> None:
    """A bank transfer came with less than was asked for: where to send the rest is on the intent."""
    step = {"display_bank_transfer_instructions": {"hosted_instructions_url": "https://pay.example/rest"}}
    thing = thing_of(body()) | {"status": "requires_action", "next_action": step}
    word = notices.read(body(type="payment_intent.partially_funded", data={"object": thing}))
    assert isinstance(word, Word)
    assert word.verdict is not None
    assert (word.verdict.outcome, word.verdict.action) == (
        AttemptHappening.ACTION,
        Action("https://pay.example/rest", None),
    )


def test_both_spellings_of_our_metadata_are_ours() -> None:
    """The charges driver writes paymentId."""
    thing = thing_of(body()) | {"metadata": {"paymentId": str(OURS)}}
    word = notices.read(body(data={"object": thing}))
    assert isinstance(word, Word)
    assert word.payment_id == OURS


@pytest.mark.parametrize("metadata", [{}, None, {"payment_id": "7"}, {"payment_id": None}, "payment_id"])
def test_without_our_metadata_only_the_intent_may_tell(metadata: Any) -> None:
    """Whose it is, the store knows by the intent's id; metadata of others is not read as ours."""
    word = notices.read(body(data={"object": thing_of(body()) | {"metadata": metadata}}))
    assert isinstance(word, Word)
    assert (word.payment_id, word.intent_id) == (None, "pi_1")


def test_a_charge_without_an_intent_or_our_metadata_is_foreign() -> None:
    """Somebody else's charge on the same account."""
    charge = {"id": "ch_9", "object": "charge", "status": "succeeded", "captured": True, "amount": 5, "metadata": {}}
    assert Silence.FOREIGN is notices.read(body(type="charge.succeeded", data={"object": charge}))


@pytest.mark.parametrize("kind", ["customer.created", "payment_intent.created", "", "a.type.of.next.year"])
def test_types_that_change_no_payment_are_passed_over(kind: str) -> None:
    """Stripe adds types every month; none of them is an error."""
    assert Silence.IRRELEVANT is notices.read(body(type=kind))


@pytest.mark.parametrize("version", ["2025-03-31.basil", "2020-08-27", None])
def test_another_api_version_is_only_a_hint(version: str | None) -> None:
    """Its fields may mean something else: no verdict is read from it."""
    word = notices.read(body(api_version=version))
    assert isinstance(word, Word)
    assert (word.payment_id, word.intent_id, word.verdict) == (OURS, "pi_1", None)


@pytest.mark.parametrize(
    "thing",
    [
        {"status": "a_status_of_next_year"},
        {"amount_received": "all of it"},
        {"amount_received": None},
        {"status": "requires_payment_method", "last_payment_error": None},
    ],
)
def test_an_object_that_stripe_does_not_document_is_refused(thing: dict[str, Any]) -> None:
    """No state is guessed from it."""
    with pytest.raises(NotAnEvent):
        notices.read(body(data={"object": thing_of(body()) | thing}))
