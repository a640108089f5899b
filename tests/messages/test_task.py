"""What a state machine asks for is read strictly, and what is refused says whether its machine can be told."""

import json
from typing import Any

import pytest

from counterfoil.domain.driving import TaskStep
from counterfoil.domain.errors import CardDataNotAccepted, InvalidRequest, MethodRefused
from counterfoil.messages.decoding import decode
from counterfoil.messages.order_placed import OrderPlaced
from counterfoil.messages.task import TaskRefused, stray_of, task_of

ID = "01900000-0000-7000-8000-000000000001"
ORDER = {
    "event_id": "event-1",
    "order_id": "order-1",
    "amount": 1999,
    "currency": "eur",
    "customer": {"id": "ada", "email": "ada@customer.example", "locale": "de-AT"},
    "payment_method": {"type": "sepa_debit", "id": "pm_1"},
    "off_session": True,
    "mandate": {"accepted_at": "2026-03-01T12:00:00Z", "ip_address": "::1", "user_agent": "a browser"},
    "return_url": "https://shop.example/back",
    "items": [{"sku": "mug", "quantity": 2}],
    "metadata": {"campaign": "spring"},
    "timeouts": {"payment_seconds": 3, "heartbeat_seconds": 2, "effect_seconds": 1, "retry_seconds": 1},
}


def body(**changes: Any) -> bytes:
    """A task of step payment, as a machine sends it; what is None is left out."""
    sent = {"step": "payment", "task_token": "token-1", "execution": "arn:e", "heartbeat_seconds": 20, "input": ORDER}
    return json.dumps({key: value for key, value in (sent | changes).items() if value is not None}).encode()


def test_the_input_is_the_order_that_the_same_words_would_place() -> None:
    """One mapping for both ways in: whichever brings it, the same event is the same payment."""
    placed = {
        "event_id": "event-1",
        "order_id": "order-1",
        "amount_cents": 1999,
        "currency": "EUR",
        "customer_id": "ada",
        "customer_email": "ada@customer.example",
        "locale": "de-AT",
        "items": ORDER["items"],
        "payment_method": "pm_1",
        "off_session": True,
        "mandate": ORDER["mandate"],
        "return_url": "https://shop.example/back",
        "metadata": {"campaign": "spring"},
    }
    task = task_of(body())
    assert task.order == decode(json.dumps(placed).encode(), OrderPlaced).order()
    assert (task.step, task.token.reveal(), task.heartbeat_seconds) == (TaskStep.PAYMENT, "token-1", 20)


def test_the_least_that_a_machine_may_ask_for() -> None:
    """Everything else has its default; that no method is named is for whoever settles on one."""
    least = {key: ORDER[key] for key in ("event_id", "order_id", "amount", "currency")}
    order = task_of(body(input=least, heartbeat_seconds=None)).order
    assert order is not None
    assert (order.payment_method, order.customer_id, order.off_session) == (None, None, False)


@pytest.mark.parametrize("step", ["retry", "record", "receipt", "inventory", "notify"])
def test_a_step_behind_the_payment_names_it(step: str) -> None:
    """By its id, and has no order."""
    task = task_of(body(step=step, payment_id=ID, input=None))
    assert (task.step.value, str(task.payment_id), task.order) == (step, ID, None)


def test_a_retry_says_upon_which_decline_it_follows() -> None:
    """A machine that was deployed before it did so says nothing of it; no other step has one."""
    retry = {"step": "retry", "payment_id": ID, "input": None}
    assert [task_of(body(**retry, attempt=attempt)).declined for attempt in (2, None)] == [2, None]
    for changes in ({**retry, "attempt": 0}, {**retry, "step": "record", "attempt": 1}):
        with pytest.raises(InvalidRequest, match="attempt"):
            task_of(body(**changes))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"amount": "1999"}, "amount"),
        ({"amount": True}, "amount"),
        ({"amount": 0}, "amount"),
        ({"event_id": ""}, "event_id"),
        ({"customer": {"email": "nobody"}}, "customer.email"),
        ({"timeouts": {"payment_seconds": 0}}, "timeouts.payment_seconds"),
        ({"payment_method": {"type": "CARD"}}, "payment_method.type"),
        ({"unknown": 1}, "unknown"),
        ({"amount": 19.5}, "amount"),
    ],
)
def test_an_order_that_is_none_is_refused_to_its_machine(changes: dict[str, Any], field: str) -> None:
    """The field is named as it stands in the machine's input."""
    with pytest.raises(TaskRefused) as caught:
        task_of(body(input={**ORDER, **changes}))
    assert isinstance(caught.value.why, InvalidRequest)
    assert caught.value.why.field == field
    assert caught.value.task.token.reveal() == "token-1"


def test_card_data_in_an_order_is_refused_to_its_machine() -> None:
    """It is told which field, and the number goes nowhere."""
    with pytest.raises(TaskRefused) as caught:
        task_of(body(input={**ORDER, "metadata": {"note": "4242 4242 4242 4242"}}))
    assert isinstance(caught.value.why, CardDataNotAccepted)
    assert caught.value.why.field == "metadata.note"
    assert "4242" not in f"{caught.value} {caught.value.task!r}"


def test_a_method_that_nobody_takes_is_refused_to_its_machine() -> None:
    """PayPal is not there yet."""
    with pytest.raises(TaskRefused) as caught:
        task_of(body(input={**ORDER, "payment_method": {"type": "paypal"}}))
    assert isinstance(caught.value.why, MethodRefused)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"{",
        body(step="dance"),
        body(task_token=None),
        body(task_token="with space"),
        body(execution=None),
        body(heartbeat_seconds=0),
        body(more="fields"),
        body(input=None),
        body(input=["a list"]),
        body(payment_id=ID),
        body(step="record"),
        body(step="record", input=None, payment_id="no id"),
        body().replace(b'"step"', b'"task_token": "another", "step"'),
        body(more="fields", input={**ORDER, "amount": 0}),
        body(task_token="t" * 2049),
        body(execution="a line\nand another"),
    ],
)
def test_what_is_no_task_is_refused_as_a_whole(raw: bytes) -> None:
    """Nobody could be told by a step of a machine."""
    with pytest.raises(InvalidRequest):
        task_of(raw)


@pytest.mark.parametrize(
    ("raw", "token"),
    [
        (body(step="dance"), "token-1"),
        (body(task_token=None), None),
        (b"[]", None),
        (b"words", None),
        (b'{"task_token": 7}', None),
        (b'{"task_token": ""}', None),
        (b'{"task_token": "t"}', "t"),
    ],
)
def test_a_token_is_found_in_what_is_no_task(raw: bytes, token: str | None) -> None:
    """So that whoever waits on it hears of it."""
    stray = stray_of(raw)
    assert (stray.token.reveal() if stray is not None else None) == token


def test_a_task_shows_neither_its_token_nor_its_order() -> None:
    """However it is printed."""
    assert "token-1" not in repr(task_of(body()))
    assert "ada" not in repr(task_of(body()))
