"""The worker as a process takes the tasks of state machines off a queue, each once, and loses none."""

import asyncio
import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from tests.aws import Aws, Execution, Queue
from tests.relay import relayed
from tests.stage import Stage, authority, becomes, fetch, ready

from counterfoil.store.tokens import Scope

NUMBERS = itertools.count(1)
RESOURCE = "arn:aws:states:::sqs:sendMessage.waitForTaskToken"


@dataclass(frozen=True, slots=True)
class Office:
    """A queue with its dead letters, a machine that sends its input there as one task and waits, and a worker."""

    aws: Aws
    stage: Stage
    queue: Queue
    dead_letters: Queue
    machine: str

    @property
    def settings(self) -> dict[str, str]:
        """What a worker is started with to hear the queue."""
        return {**self.aws.settings, "STEP_FUNCTIONS_QUEUE_URL": self.queue.url}

    async def execution(self, order: object) -> Execution:
        """Start an execution that asks for this order to be paid."""
        return await asyncio.to_thread(self.aws.execution, self.machine, name(), {"about": order})

    async def ended(self, order: object) -> tuple[str, dict[str, Any]]:
        """Return how such an execution ends: SUCCEEDED with its output, or its error with the cause."""
        ended = await (await self.execution(order)).ends()
        failed = ended["status"] == "FAILED"
        return (
            (ended["error"], json.loads(ended["cause"])) if failed else (ended["status"], json.loads(ended["output"]))
        )

    def send(self, body: str) -> None:
        """Put a message on the queue."""
        self.queue.client.send_message(QueueUrl=self.queue.url, MessageBody=body)

    async def dead_letter(self) -> tuple[str, str, str]:
        """Return the next dead letter: its body, its reason and its error."""
        found = await becomes(bool, lambda: asyncio.to_thread(self._dead_letter))
        assert found is not None
        return found

    def _dead_letter(self) -> tuple[str, str, str] | None:
        queue = self.dead_letters
        answer = queue.client.receive_message(QueueUrl=queue.url, MessageAttributeNames=["All"])
        for message in answer.get("Messages", []):
            queue.client.delete_message(QueueUrl=queue.url, ReceiptHandle=message["ReceiptHandle"])
            told = message["MessageAttributes"]
            return message["Body"], told["reason"]["StringValue"], told["error"]["StringValue"]
        return None


def name() -> str:
    """Return a name for something that AWS keeps."""
    return f"of-a-test-{next(NUMBERS)}"


def made(aws: Aws, stage: Stage) -> Office:
    """Make an office; its worker is started apart."""
    named = name()
    dead_letters, queue = Queue.made(aws, f"{named}-dlq"), Queue.made(aws, named)
    policy = {"deadLetterTargetArn": f"arn:aws:sqs:eu-central-1:123456789012:{named}-dlq", "maxReceiveCount": 5}
    aws.sqs.set_queue_attributes(QueueUrl=queue.url, Attributes={"RedrivePolicy": json.dumps(policy)})
    body = {
        "step": "payment",
        "task_token.$": "$$.Task.Token",
        "execution.$": "$$.Execution.Id",
        "timeout_seconds": 60,
        "heartbeat_seconds": 30,
        "input.$": "$.about",
    }
    task = {
        "Type": "Task",
        "Resource": RESOURCE,
        "Parameters": {"QueueUrl": queue.url, "MessageBody": body},
        "TimeoutSeconds": 60,
        "HeartbeatSeconds": 30,
        "End": True,
    }
    machine = aws.machine(named, {"StartAt": "Ask", "States": {"Ask": task}})
    return Office(aws, stage, queue, dead_letters, machine)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def office(aws: Aws, shared_stage: Stage) -> Office:
    """An office that all tests here share, with a worker that hears it."""
    office = await asyncio.to_thread(made, aws, shared_stage)
    await asyncio.to_thread(lambda: shared_stage.start("worker", **office.settings))
    return office


def given(number: int, **changes: Any) -> dict[str, Any]:
    """Return the input of an execution that asks for 19.99 euros."""
    return {
        "event_id": f"event-{number}",
        "order_id": f"order-{number}",
        "amount": 1999,
        "currency": "EUR",
        "payment_method": {"type": "card", "id": "pm_card_visa"},
        **changes,
    }


async def test_a_task_is_a_payment_and_its_end_is_told(office: Office) -> None:
    """Taken off the queue, charged, told; then the message is gone, and so is the token's text."""
    status, output = await office.ended(given(1))
    assert (status, output["status"], output["amount"], output["attempt"]) == ("SUCCEEDED", "succeeded", 1999, 1)
    query = (
        "SELECT p.id::text, t.outcome, t.token FROM task_tokens AS t JOIN payments AS p ON p.id = t.payment_id"
        " WHERE p.event_id = 'event-1'"
    )
    await becomes([(output["payment_id"], "succeeded", None)], lambda: fetch(office.stage, query))
    await becomes(bool, lambda: asyncio.to_thread(office.queue.is_empty))


async def test_a_refused_order_ends_its_execution_with_the_reason(office: Office) -> None:
    """Nothing is charged, nothing dead-lettered: the machine knows, and so does whoever reads its history."""
    without = {key: value for key, value in given(2).items() if key != "amount"}
    orders = [
        (given(2, amount=19.99), "invalid-request", "amount"),
        (without, "invalid-request", "amount"),
        (given(2, currency="ABC"), "amount-refused", "currency"),
        (given(2, amount=1), "amount-refused", "amount"),
        (given(2, colour="red"), "invalid-request", "colour"),
        (given(2, payment_method={"type": "paypal", "id": "x"}), "method-refused", "payment_method"),
        (given(2, metadata={"card": "4242424242424242"}), "card-data-not-accepted", "metadata.card"),
        (given(2, items=[{"sku": "mug", "quantity": 0}]), "invalid-request", "items.0.quantity"),
        (given(2, payment_method={}), "method-refused", "payment_method"),
    ]
    ended = await asyncio.gather(*(office.ended(order) for order, _, _ in orders))
    assert [(error, cause["problem"], cause["field"]) for error, cause in ended] == [
        ("PaymentRefused", problem, field) for _, problem, field in orders
    ]
    assert await fetch(office.stage, "SELECT count(*) FROM payments WHERE event_id = 'event-2'") == [(0,)]
    assert await asyncio.to_thread(office.dead_letters.is_empty)


async def test_an_event_that_was_used_for_another_order_is_refused(office: Office) -> None:
    """By its fingerprint, as over HTTP; and so is an order that has its payment already."""
    _, first = await office.ended(given(3))
    error, cause = await office.ended(given(3, amount=2099))
    assert (error, cause["problem"], cause["field"]) == ("PaymentRefused", "idempotency-key-reused", "event_id")
    error, cause = await office.ended(given(33, order_id="order-3"))
    assert (error, cause["problem"], cause["payment_id"]) == (
        "PaymentRefused",
        "order-has-payment",
        first["payment_id"],
    )


async def test_an_execution_of_the_same_event_charges_nobody_again(office: Office) -> None:
    """Both end with the same payment."""
    first, second = await asyncio.gather(office.ended(given(4)), office.ended(given(4)))
    assert first == second
    query = "SELECT count(*) FROM attempts JOIN payments ON id = payment_id WHERE event_id = 'event-4'"
    assert await fetch(office.stage, query) == [(1,)]


async def test_a_message_that_comes_twice_charges_nobody_twice(office: Office) -> None:
    """As a queue may deliver it: one payment, one token, one attempt."""
    body = json.dumps({"step": "payment", "task_token": "made up", "execution": "arn", "input": given(5)})
    body = body.replace("made up", "made-up-5")
    for _ in range(3):
        await asyncio.to_thread(office.send, body)
    query = (
        "SELECT count(DISTINCT p.id), count(DISTINCT t.id), count(DISTINCT a.number) FROM payments AS p"
        " JOIN task_tokens AS t ON t.payment_id = p.id JOIN attempts AS a ON a.payment_id = p.id"
        " WHERE p.event_id = 'event-5'"
    )
    await becomes([(1, 1, 1)], lambda: fetch(office.stage, query))
    await becomes(bool, lambda: asyncio.to_thread(office.queue.is_empty))
    assert await fetch(office.stage, query) == [(1, 1, 1)]
    assert await asyncio.to_thread(office.dead_letters.is_empty)


async def test_a_message_that_was_refused_and_comes_again_charges_nobody(office: Office) -> None:
    """Its machine was told that there is no payment. That its order is free by now makes none of it."""
    await office.ended(given(8))
    body = {"step": "payment", "task_token": "refused-8", "execution": "arn", "input": given(88, order_id="order-8")}
    refused = "SELECT count(*) FROM task_tokens WHERE refusal->>'problem' = 'order-has-payment' AND execution = 'arn'"
    await asyncio.to_thread(office.send, json.dumps(body))
    await becomes([(1,)], lambda: fetch(office.stage, refused))
    await becomes(bool, lambda: asyncio.to_thread(office.queue.is_empty))
    await fetch(office.stage, "UPDATE payments SET owns_order = false WHERE event_id = 'event-8' RETURNING id")

    await asyncio.to_thread(office.send, json.dumps(body))

    await becomes(bool, lambda: asyncio.to_thread(office.queue.is_empty))
    assert await fetch(office.stage, "SELECT count(*) FROM payments WHERE event_id = 'event-88'") == [(0,)]


@pytest.mark.parametrize(
    ("body", "kept", "error"),
    [
        ("words", "words", "the request is not JSON"),
        ("[]", "[]", "the request is not a JSON object"),
        ('{"step": "dance", "task_token": "t1", "execution": "e"}', None, "step must be"),
        ('{"step": "record", "task_token": "t2", "execution": "e"}', None, "must have a payment_id"),
        ('{"step": "payment", "task_token": "t3", "execution": "e", "card": "4242424242424242"}', "{}", "card data"),
    ],
)
async def test_what_is_no_task_is_a_dead_letter(office: Office, body: str, kept: str | None, error: str) -> None:
    """As it came, with the reason; but card data is not carried on. The queue is not held up by it."""
    await asyncio.to_thread(office.send, body)
    letter, reason, why = await office.dead_letter()
    assert letter == (body if kept is None else kept)
    assert reason in {"not-decodable", "invalid-request", "card-data-not-accepted"}
    assert error in why
    await becomes(bool, lambda: asyncio.to_thread(office.queue.is_empty))


async def test_what_cannot_even_be_put_aside_holds_up_nothing(stage: Stage, aws: Aws) -> None:
    """More of them than a worker takes in hand: they are left to the queue, which counts how often they come."""
    office = await asyncio.to_thread(made, aws, stage)
    size: Any = {"MaximumMessageSize": "1024"}
    await asyncio.to_thread(lambda: aws.sqs.set_queue_attributes(QueueUrl=office.dead_letters.url, Attributes=size))
    for _ in range(21):
        await asyncio.to_thread(office.send, "words " * 200)
    await asyncio.to_thread(lambda: stage.start("worker", **office.settings))
    status, _ = await office.ended(given(1))
    assert status == "SUCCEEDED"
    assert not await asyncio.to_thread(office.queue.is_empty)


async def test_what_is_no_task_ends_its_execution_where_its_token_can_be_read(office: Office) -> None:
    """An input that is no object makes no task: a dead letter, and the machine hears of it."""
    error, cause = await office.ended("words")
    assert (error, cause["problem"], cause["field"]) == ("PaymentRefused", "invalid-request", "input")
    _, reason, _ = await office.dead_letter()
    assert reason == "invalid-request"


async def test_a_worker_without_its_queue_is_not_ready_and_goes_on(stage: Stage, aws: Aws) -> None:
    """It names the queue, warns once, works on everything else, and hears it as soon as it is there."""
    named = name()
    url = f"{aws.url}/123456789012/{named}"
    settings = {**aws.settings, "STEP_FUNCTIONS_QUEUE_URL": url}
    worker = await asyncio.to_thread(lambda: stage.listening("worker", **settings))

    def said() -> str:
        return str(ready(worker)[1]["checks"]["task queue"])

    missing = "the task queue cannot be used: AWS refuses it (NonExistentQueue)"
    await becomes(missing, lambda: asyncio.to_thread(said))
    queue = await asyncio.to_thread(Queue.made, aws, named)
    unfit = "the task queue cannot be used: it has no dead-letter queue (RedrivePolicy)"
    await becomes(unfit, lambda: asyncio.to_thread(said))
    assert worker.log().count("NonExistentQueue") == 1
    await asyncio.to_thread(Queue.made, aws, f"{named}-dlq")
    policy = {"deadLetterTargetArn": f"arn:aws:sqs:eu-central-1:123456789012:{named}-dlq", "maxReceiveCount": 5}
    await asyncio.to_thread(
        lambda: aws.sqs.set_queue_attributes(QueueUrl=queue.url, Attributes={"RedrivePolicy": json.dumps(policy)})
    )
    await becomes(200, lambda: asyncio.to_thread(lambda: ready(worker)[0]))


async def test_a_worker_that_cannot_reach_sqs_says_so(stage: Stage, aws: Aws) -> None:
    """Not ready, by name; asked to end, it ends in its time."""
    settings = {
        **aws.settings,
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "STEP_FUNCTIONS_QUEUE_URL": "http://127.0.0.1:9/123456789012/tasks",
    }
    worker = await asyncio.to_thread(lambda: stage.listening("worker", **settings))
    sentence = "the task queue cannot be used: AWS was not reached (EndpointConnectionError)"
    await becomes(sentence, lambda: asyncio.to_thread(lambda: str(ready(worker)[1]["checks"]["task queue"])))
    worker.terminate()
    assert await asyncio.to_thread(worker.ended) == 0


async def test_a_worker_without_boto3_says_what_to_install(stage: Stage, tmp_path: Path) -> None:
    """Exit 78 and one line, as for whatever else is wrong with a setting."""
    (tmp_path / "boto3.py").write_text("raise ImportError")
    worker = await asyncio.to_thread(
        lambda: stage.launch(
            "worker",
            PYTHONPATH=str(tmp_path),
            STEP_FUNCTIONS_QUEUE_URL="https://sqs.eu-central-1.amazonaws.com/1/tasks",
        )
    )
    assert await asyncio.to_thread(worker.ended) == 78
    line = "STEP_FUNCTIONS_QUEUE_URL needs boto3, which is not installed: pip install 'counterfoil[aws]'"
    assert line in worker.log()


async def test_a_worker_that_is_killed_with_a_task_in_hand_loses_nothing(stage: Stage, aws: Aws) -> None:
    """Its message comes again, to another worker: the execution ends, one payment was made, one charge."""
    office = await asyncio.to_thread(made, aws, stage)
    execution = await office.execution(given(1))
    doomed = await asyncio.to_thread(lambda: stage.start("worker", **office.settings))
    await becomes(bool, lambda: fetch(stage, "SELECT id FROM task_tokens"))
    await asyncio.to_thread(doomed.kill)
    expire = [
        "UPDATE attempts SET claim_expires_at = now() WHERE claimed_by IS NOT NULL RETURNING number",
        "UPDATE payments SET next_check_at = now() WHERE next_check_at IS NOT NULL RETURNING id",
        "UPDATE task_tokens SET claim_expires_at = now() WHERE claimed_by IS NOT NULL RETURNING id",
    ]
    for statement in expire:
        await fetch(stage, statement)

    await asyncio.to_thread(lambda: stage.start("worker", **office.settings))

    assert (await execution.ends(seconds=50))["status"] == "SUCCEEDED"
    assert await fetch(stage, "SELECT count(*) FROM payments") == [(1,)]


async def test_an_outage_of_ours_makes_no_dead_letters(stage: Stage, aws: Aws) -> None:
    """While the database is silent the message stays in hand, taken off the queue once; then it is worked on."""
    office = await asyncio.to_thread(made, aws, stage)
    with relayed(stage.database_url) as wire:
        worker = await asyncio.to_thread(lambda: stage.start("worker", **office.settings, DATABASE_URL=wire.url))
        wire.fall_silent()
        execution = await office.execution(given(1))
        await becomes(bool, lambda: asyncio.to_thread(lambda: "tasks.put_off" in worker.log()))
        assert not await asyncio.to_thread(office.queue.is_empty), "a message is deleted when its work is on record"
        wire.speak()
        assert (await execution.ends(seconds=50))["status"] == "SUCCEEDED"
        worker.terminate()
        assert await asyncio.to_thread(worker.ended, 15) == 0
    assert await asyncio.to_thread(office.dead_letters.is_empty)


async def test_a_person_sees_which_machine_drives_a_payment(office: Office, http: httpx.AsyncClient) -> None:
    """In the timeline and in words: what was asked for, how it was answered, and which token was settled quietly."""
    gateway = await asyncio.to_thread(office.stage.start, "gateway")
    headers = await authority(office.stage, Scope.READ)
    _, output = await office.ended(given(7))
    body = {"step": "record", "task_token": "nobody-waits", "execution": "arn:e"}
    await asyncio.to_thread(office.send, json.dumps({**body, "payment_id": output["payment_id"]}))
    url = f"{gateway.url}/payments/{output['payment_id']}"

    async def asked() -> list[tuple[str, Any]]:
        entries = (await http.get(f"{url}/timeline", headers=headers)).json()["entries"]
        return [(one["name"], one["details"]["outcome"]) for one in entries if one["kind"] == "task"]

    told = [
        ("payment asked for", None),
        ("payment answered", "succeeded"),
        ("record asked for", None),
        ("record answered", "dead"),
    ]
    await becomes(told, asked)
    known = " ".join((await http.get(f"{url}/explanation", headers=headers)).json()["known"])
    assert "A state machine asked for it: arn:aws:states:" in known
    assert "was answered with success." in known
    assert "has nobody waiting for it any more, and was settled quietly: its token is not valid any more." in known


async def test_no_log_and_no_view_holds_a_token(office: Office) -> None:
    """Nor does any column of any row, once the token is settled."""
    _, output = await office.ended(given(6))
    body = {"step": "record", "task_token": "token-to-be-grepped-for", "execution": "of the grep"}
    await asyncio.to_thread(office.send, json.dumps({**body, "payment_id": output["payment_id"]}))
    settled = "SELECT count(*) FROM task_tokens WHERE execution = 'of the grep' AND outcome = 'dead'"
    await becomes([(1,)], lambda: fetch(office.stage, settled))
    tables = await fetch(
        office.stage,
        "SELECT table_schema || '.' || table_name FROM information_schema.tables"
        " WHERE table_schema IN ('public', 'payment_database')",
    )
    for (table,) in tables:
        rows = await fetch(office.stage, f"SELECT t::text FROM {table} AS t")  # noqa: S608 - names of our catalogue
        assert "token-to-be-grepped-for" not in str(rows), table
    logs = [file.read_text() for file in office.stage.folder.glob("*.log")]
    assert logs
    assert not any("token-to-be-grepped-for" in log for log in logs)
