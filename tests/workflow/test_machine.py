"""What the machine does with each answer. Its peer here is the test itself: it reads the queue, and answers tokens."""

import itertools
import json
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from tests.aws import Aws, Queue
from tests.stage import until
from tests.workflow.peer import PAYMENT_ID, QUICK, Peer, declined, done, given, paid

_NUMBERS = itertools.count(1)


@pytest.fixture
def peer(aws: Aws) -> Peer:
    """The machine on a queue of this test's own."""
    return Peer(aws, f"alone-{next(_NUMBERS)}")


def test_a_success_is_followed_by_its_record_the_receipt_and_the_stock(peer: Peer) -> None:
    """The three are asked for side by side, of the payment that was answered; their answers are the execution's."""
    execution = peer.start(given(customer={"id": "c-1"}, items=[{"sku": "a", "quantity": 2}]))
    request = peer.asked("payment")
    peer.succeed(request, paid())
    asked = peer.see_to_effects()
    ended = execution.ended()

    assert request["input"] == given(customer={"id": "c-1"}, items=[{"sku": "a", "quantity": 2}])
    assert request["execution"] == execution.arn
    assert (request["timeout_seconds"], request["heartbeat_seconds"]) == (20, 10)
    assert sorted(asked) == ["inventory", "receipt", "record"]
    assert {one["payment_id"] for one in asked.values()} == {PAYMENT_ID}
    assert {(one["timeout_seconds"], one["heartbeat_seconds"]) for one in asked.values()} == {(15, 10)}
    assert len({request["task_token"], *(one["task_token"] for one in asked.values())}) == 4
    assert ended["status"] == "SUCCEEDED"
    effects = {step: done(step) for step in ("record", "receipt", "inventory")}
    assert json.loads(ended["output"]) == {"payment": paid(), "effects": effects}


def test_a_success_enters_as_many_states_as_the_page_says(peer: Peer) -> None:
    """Each is billed."""
    execution = peer.start(given(timeouts=None))
    peer.succeed(peer.asked("payment"), paid())
    peer.see_to_effects()
    execution.ended()

    page = (Path(__file__).parents[2] / "docs/step-functions.md").read_text("utf-8")
    assert f"enters {len(execution.entered())}, and each retry" in page


def test_no_message_has_more_than_was_agreed_on(peer: Peer) -> None:
    """The worker's decoder is strict: what it does not know it refuses."""
    every = {"step", "task_token", "execution", "timeout_seconds", "heartbeat_seconds"}
    peer.start(given())
    request = peer.asked("payment")
    peer.succeed(request, paid())
    asked = peer.see_to_effects()

    assert set(request) == every | {"input"}
    assert [set(one) for one in asked.values()] == [every | {"payment_id"}] * 3


def test_a_decline_that_may_pass_is_tried_again_by_the_machine(peer: Peer) -> None:
    """It waits as long as the input says, asks for the retry of that payment, and goes on as with a first try."""
    execution = peer.start(given())
    peer.fail(peer.asked("payment"), "PaymentDeclined", declined(retry_allowed=True))
    retry = peer.asked("retry")
    peer.succeed(retry, paid(attempt=2))
    peer.see_to_effects()
    ended = execution.ended()

    assert (retry["payment_id"], "input" in retry) == (PAYMENT_ID, False)
    assert (retry["timeout_seconds"], retry["heartbeat_seconds"]) == (20, 10)
    assert ended["status"] == "SUCCEEDED"
    assert json.loads(ended["output"])["payment"] == paid(attempt=2)
    assert "WaitBeforeRetry" in execution.entered()


def test_a_decline_after_declines_is_final_once_the_worker_says_so(peer: Peer) -> None:
    """The customer is told, then the execution fails with the worker's word for it."""
    execution = peer.start(given())
    peer.fail(peer.asked("payment"), "PaymentDeclined", declined(retry_allowed=True))
    last = declined(retry_allowed=False, attempt=2)
    peer.fail(peer.asked("retry"), "PaymentDeclined", last)
    notice = peer.asked("notify")
    peer.succeed(notice, done("notify"))
    ended = execution.ended()

    assert notice["payment_id"] == PAYMENT_ID
    assert (ended["status"], ended["error"], json.loads(ended["cause"])) == ("FAILED", "PaymentDeclined", last)
    assert execution.entered()[-1] == "PaymentFailed"
    assert peer.queue.is_empty()


def test_a_decline_that_may_not_be_tried_again_is_final_at_once(peer: Peer) -> None:
    """Nothing is waited for and nothing retried; a notice that is parked changes nothing about the end."""
    execution = peer.start(given())
    peer.fail(peer.asked("payment"), "PaymentDeclined", declined(retry_allowed=False))
    peer.fail(peer.asked("notify"), "EffectParked", {"reason": "no mail server takes it"})
    ended = execution.ended()

    assert (ended["status"], ended["error"]) == ("FAILED", "PaymentDeclined")
    assert json.loads(ended["cause"]) == declined(retry_allowed=False)
    assert [one for one in execution.entered() if "Retry" in one] == ["IsRetryAllowed"]


def test_a_cancellation_has_its_own_end(peer: Peer) -> None:
    """Who was to pay is told and what was set aside is let go. It is no success: no money came."""
    execution = peer.start(given())
    peer.succeed(peer.asked("payment"), paid("canceled"))
    notice = peer.asked("notify")
    peer.succeed(notice, done("notify"))
    ended = execution.ended()

    assert notice["payment_id"] == PAYMENT_ID
    assert (ended["status"], ended["error"], json.loads(ended["cause"])) == (
        "FAILED",
        "PaymentCanceled",
        paid("canceled"),
    )
    assert execution.entered()[-1] == "PaymentCanceled"


def test_what_the_worker_refuses_ends_with_its_reason(peer: Peer) -> None:
    """No payment was made of it, so nobody is told but whoever started the execution."""
    problem = {"problem": "amount-refused", "detail": "below the least amount", "field": "amount"}
    execution = peer.start(given(amount=1))
    peer.fail(peer.asked("payment"), "PaymentRefused", problem)
    ended = execution.ended()

    assert (ended["status"], ended["error"], json.loads(ended["cause"])) == ("FAILED", "PaymentRefused", problem)
    assert peer.queue.is_empty()


def test_a_payment_that_is_not_answered_in_time_goes_on_without_the_machine(peer: Peer) -> None:
    """The execution's end says so, and where its payment's end is told. No second request is sent."""
    execution = peer.start(given(timeouts={**QUICK, "payment_seconds": 3, "heartbeat_seconds": 2}))
    request = peer.asked("payment")
    beats = 0
    while execution.described()["status"] == "RUNNING" and beats < 50:
        beats += 1
        peer.beat(request)
    ended = execution.ended()

    assert (ended["status"], ended["error"]) == ("FAILED", "PaymentTimedOut")
    assert ended["cause"] == (
        "Nothing was heard in time. The payment goes on with the worker: counterfoil show order-1 tells how it ends."
    )
    assert peer.queue.is_empty()


def test_heartbeats_that_stay_away_bring_the_request_again_with_a_new_token(peer: Peer) -> None:
    """A message that is lost with its worker is sent again. The new token is the one that counts."""
    execution = peer.start(given(timeouts={**QUICK, "heartbeat_seconds": 1}))
    first = peer.asked("payment")
    second = peer.asked("payment")
    peer.beat(second)
    peer.succeed(second, paid())
    peer.see_to_effects()

    assert first["task_token"] != second["task_token"]
    assert {name: first[name] for name in first if name != "task_token"} == {
        name: second[name] for name in second if name != "task_token"
    }
    assert execution.ended()["status"] == "SUCCEEDED"


@pytest.mark.parametrize("step", ["record", "receipt", "inventory"])
def test_an_effect_that_is_parked_does_not_fail_the_payment(peer: Peer, step: str) -> None:
    """It is asked for once, its reason stands in the output, and the others are as they were."""
    execution = peer.start(given())
    peer.succeed(peer.asked("payment"), paid())
    peer.see_to_effects(parked=step)
    ended = execution.ended()

    assert ended["status"] == "SUCCEEDED"
    effects = json.loads(ended["output"])["effects"]
    why = {"Error": "EffectParked", "Cause": json.dumps({"step": step, "reason": "no mail server takes it"})}
    assert effects[step] == {"payment_id": PAYMENT_ID, "step": step, "state": "left", "why": why}
    assert [effects[other]["state"] for other in effects if other != step] == ["done", "done"]
    assert peer.queue.is_empty()


def test_a_queue_that_takes_nothing_is_tried_again(peer: Peer) -> None:
    """What SQS answers with an error is sent once more, and nobody need start the execution anew."""
    peer.aws.sqs.delete_queue(QueueUrl=peer.queue.url)
    execution = peer.start(given())
    until(lambda: "TaskFailed" in {event["type"] for event in execution.events()})
    peer.queue = Queue.made(peer.aws, peer.name)
    peer.succeed(peer.asked("payment"), paid())
    peer.see_to_effects()

    assert execution.ended()["status"] == "SUCCEEDED"


def test_an_effect_whose_heartbeats_stay_away_is_asked_for_again_alone(peer: Peer) -> None:
    """Each of the three has its own retry."""
    execution = peer.start(given(timeouts={**QUICK, "heartbeat_seconds": 2}))
    peer.succeed(peer.asked("payment"), paid())
    asked = {message["step"]: message for message in (peer.queue.taken() for _ in range(3))}
    for step in ("record", "inventory"):
        peer.succeed(asked[step], done(step))
    again = peer.asked("receipt")
    peer.succeed(again, done("receipt"))

    assert again["task_token"] != asked["receipt"]["task_token"]
    assert execution.ended()["status"] == "SUCCEEDED"


def test_an_effect_that_nobody_sees_to_in_time_is_left_to_the_worker(peer: Peer) -> None:
    """The execution does not wait for it for ever, and the payment stands."""
    execution = peer.start(given(timeouts={**QUICK, "effect_seconds": 3, "heartbeat_seconds": 2}))
    peer.succeed(peer.asked("payment"), paid())
    asked = {message["step"]: message for message in (peer.queue.taken() for _ in range(3))}
    for step in ("record", "inventory"):
        peer.succeed(asked[step], done(step))
    while execution.described()["status"] == "RUNNING":
        peer.beat(asked["receipt"])
    ended = execution.ended()

    assert ended["status"] == "SUCCEEDED"
    receipt = json.loads(ended["output"])["effects"]["receipt"]
    assert (receipt["state"], receipt["why"]["Error"]) == ("left", "States.Timeout")


@pytest.mark.parametrize(
    ("method", "waits"),
    [
        (None, (345_600, 300)),
        ({"id": "pm_1"}, (345_600, 300)),
        ({"type": "card", "id": "pm_1"}, (345_600, 300)),
        ({"type": "sepa_debit", "id": "pm_1"}, (1_814_400, 3600)),
        ({"type": "us_bank_account"}, (1_814_400, 3600)),
    ],
)
def test_cards_are_waited_for_four_days_and_other_methods_three_weeks(
    peer: Peer, method: dict[str, str] | None, waits: tuple[int, int]
) -> None:
    """Where the input says nothing else."""
    peer.start(given(payment_method=method, timeouts=None))
    request = peer.asked("payment")

    assert (request["timeout_seconds"], request["heartbeat_seconds"]) == waits


def test_timeouts_are_given_one_by_one(peer: Peer) -> None:
    """What the input does not name keeps its default."""
    peer.start(given(payment_method={"type": "sepa_debit"}, timeouts={"payment_seconds": 7200}))
    request = peer.asked("payment")

    assert (request["timeout_seconds"], request["heartbeat_seconds"]) == (7200, 3600)


@pytest.mark.parametrize(
    "spoilt",
    [
        given(amount=None),
        given(amount="1999"),
        given(amount=0),
        given(amount=-5),
        given(currency=None),
        given(currency=978),
        given(event_id=None),
        given(event_id=""),
        given(event_id=7),
        given(order_id=None),
        given() | {"amount": None},
        given() | {"currency": None},
        given() | {"timeouts": None},
        given(amount=True),
        given(amount=[1999]),
        given(timeouts="3 days"),
        given(timeouts={"payment_seconds": 31_536_001}),
        given(timeouts={"payment_seconds": "3"}),
        given(timeouts={"retry_seconds": 0}),
        {},
        [],
        "amount",
        7,
    ],
    ids=str,
)
def test_an_input_without_what_is_needed_ends_before_anything_is_requested(peer: Peer, spoilt: object) -> None:
    """The execution fails and its cause says what is needed."""
    execution = peer.start(json.dumps(spoilt))
    ended = execution.ended()

    assert (ended["status"], ended["error"]) == ("FAILED", "InvalidInput")
    assert all(word in ended["cause"] for word in ("event_id", "order_id", "amount", "currency", "timeouts"))
    assert execution.entered() == ["ValidateInput", "InvalidInput"]
    assert peer.queue.is_empty()


@pytest.mark.parametrize("timeouts", [[], [3]], ids=str)
def test_timeouts_that_are_a_list_end_before_anything_is_requested(peer: Peer, timeouts: list[int]) -> None:
    """No choice can tell a list from an object: Step Functions itself fails where they would be merged."""
    execution = peer.start(given(timeouts=timeouts))
    ended = execution.ended()

    assert ended["status"] == "FAILED"
    assert execution.entered()[-1] == "TakeTimeoutsGiven"
    assert peer.queue.is_empty()


def test_heartbeats_have_to_be_more_frequent_than_the_end(peer: Peer) -> None:
    """Otherwise no heartbeat would ever be missed."""
    execution = peer.start(given(timeouts={"payment_seconds": 3, "heartbeat_seconds": 3}))
    ended = execution.ended()

    assert (ended["status"], ended["error"]) == ("FAILED", "InvalidInput")
    assert ended["cause"] == (
        "timeouts.heartbeat_seconds (3) must be less than timeouts.payment_seconds (3) and "
        "timeouts.effect_seconds (43200). Nothing was requested."
    )


def test_a_text_that_is_no_json_starts_nothing(peer: Peer) -> None:
    """Step Functions itself refuses it, at AWS as InvalidExecutionInput."""
    with pytest.raises(ClientError):
        peer.start('{"amount": ')

    assert peer.aws.step_functions.list_executions(stateMachineArn=peer.machine)["executions"] == []


def test_an_answer_that_nobody_agreed_on_is_an_end_of_its_own(peer: Peer) -> None:
    """It is not taken for a success."""
    execution = peer.start(given())
    peer.succeed(peer.asked("payment"), paid("paid, I think"))
    ended = execution.ended()

    assert (ended["status"], ended["error"]) == ("FAILED", "UnknownOutcome")
