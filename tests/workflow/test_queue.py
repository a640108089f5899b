"""The queue that machines send to: what is taken, held, deleted and put aside."""

import asyncio
import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.aws import Aws, Queue

from counterfoil.workflow.queue import CopyRefused, QueueUnavailable, TaskQueue
from counterfoil.workflow.sdk import Threads

NUMBERS = itertools.count(1)


def pair(aws: Aws) -> tuple[Queue, Queue]:
    """A queue and its dead-letter queue."""
    name = f"letters-{next(NUMBERS)}"
    dead, queue = Queue.made(aws, f"{name}-dlq"), Queue.made(aws, name)
    arn = f"arn:aws:sqs:eu-central-1:123456789012:{name}-dlq"
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 3})
    aws.sqs.set_queue_attributes(QueueUrl=queue.url, Attributes={"RedrivePolicy": policy})
    return queue, dead


def ours(aws: Aws, url: str) -> TaskQueue:
    return TaskQueue(aws.sqs, url, Threads())


async def sent(queue: Queue, *bodies: str) -> None:
    for body in bodies:
        await asyncio.to_thread(_sending(queue, body))


def _sending(queue: Queue, body: str) -> Callable[[], Any]:
    return lambda: queue.client.send_message(QueueUrl=queue.url, MessageBody=body)


async def test_what_is_taken_is_nobody_elses_and_is_gone_once_deleted(aws: Aws) -> None:
    """Up to as many as are asked for; the rest is for whoever asks next."""
    queue, _ = pair(aws)
    await sent(queue, "a", "b", "c")
    way = ours(aws, queue.url)
    await way.demand_fit()

    first, second = await way.receive(2), await way.receive(10)
    await way.delete([*first, *second])

    assert sorted(letter.body for letter in (*first, *second)) == ["a", "b", "c"]
    assert (len(first), len(second)) == (2, 1)
    assert await asyncio.to_thread(queue.is_empty)


async def test_what_is_put_aside_says_why(aws: Aws) -> None:
    """As it came, with the reason; the sentence is cut, and the message is deleted apart."""
    queue, dead = pair(aws)
    await sent(queue, '{"words": true}')
    way = ours(aws, queue.url)
    await way.demand_fit()
    (letter,) = await way.receive(1)

    await way.put_aside(letter, "invalid-request", "x" * 1000)

    answer = await asyncio.to_thread(
        lambda: dead.client.receive_message(QueueUrl=dead.url, MessageAttributeNames=["All"], WaitTimeSeconds=2)
    )
    (message,) = answer["Messages"]
    told = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    assert message["Body"] == '{"words": true}'
    assert told == {"reason": "invalid-request", "error": "x" * 300, "message_id": letter.id}
    assert not await asyncio.to_thread(queue.is_empty)


@pytest.mark.parametrize("body", ['{"note": "4242 4242 4242 4242"}', "my card is 4242424242424242", '{"cvc": "123"}'])
async def test_card_data_is_not_carried_on(aws: Aws, body: str) -> None:
    """A second queue would keep it for two weeks."""
    queue, dead = pair(aws)
    await sent(queue, body)
    way = ours(aws, queue.url)
    await way.demand_fit()
    (letter,) = await way.receive(1)
    await way.put_aside(letter, "card-data-not-accepted", "no")
    assert await asyncio.to_thread(dead.taken) == {}


async def test_a_reason_holds_no_character_that_sqs_refuses(aws: Aws) -> None:
    """One that was quoted from a message would keep the message from ever being put aside."""
    queue, dead = pair(aws)
    await sent(queue, "words")
    way = ours(aws, queue.url)
    await way.demand_fit()
    (letter,) = await way.receive(1)
    await way.put_aside(letter, "invalid-request", "found \x01\x1b\uffff at 0")
    answer = await asyncio.to_thread(
        lambda: dead.client.receive_message(QueueUrl=dead.url, MessageAttributeNames=["All"], WaitTimeSeconds=2)
    )
    assert answer["Messages"][0]["MessageAttributes"]["error"]["StringValue"] == "found ??? at 0"


async def test_what_is_too_large_to_be_copied_is_no_outage(aws: Aws) -> None:
    """With its reason a message may be larger than a queue takes: to try again would be refused again."""
    queue, dead = pair(aws)
    await sent(queue, "words " * 200)
    size: Any = {"MaximumMessageSize": "1024"}
    await asyncio.to_thread(lambda: aws.sqs.set_queue_attributes(QueueUrl=dead.url, Attributes=size))
    way = ours(aws, queue.url)
    await way.demand_fit()
    (letter,) = await way.receive(1)
    with pytest.raises(CopyRefused, match=r"AWS refuses it \(InvalidParameterValue\)"):
        await way.put_aside(letter, "invalid-request", "no")


async def test_a_message_in_hand_is_held(aws: Aws) -> None:
    """It comes to nobody else for another while, and counts as one delivery."""
    queue, _ = pair(aws)
    await sent(queue, "held")
    way = ours(aws, queue.url)
    (letter,) = await way.receive(1)
    await asyncio.to_thread(
        lambda: queue.client.change_message_visibility(
            QueueUrl=queue.url, ReceiptHandle=letter.receipt, VisibilityTimeout=3
        )
    )
    await way.hold(letter)
    await asyncio.sleep(3)
    answer = await asyncio.to_thread(lambda: queue.client.receive_message(QueueUrl=queue.url))
    assert "Messages" not in answer


async def test_a_queue_without_dead_letters_is_not_fit(aws: Aws) -> None:
    """There is nowhere for what cannot be worked on; and a queue that is not there is not fit either."""
    alone = await asyncio.to_thread(Queue.made, aws, f"alone-{next(NUMBERS)}-queue")
    with pytest.raises(QueueUnavailable, match=r"it has no dead-letter queue \(RedrivePolicy\)"):
        await ours(aws, alone.url).demand_fit()
    with pytest.raises(QueueUnavailable, match=r"AWS refuses it \(NonExistentQueue\)"):
        await ours(aws, f"{alone.url}-not-there").demand_fit()


async def test_a_letter_does_not_show_what_is_in_it(aws: Aws) -> None:
    """It holds a token."""
    queue, _ = pair(aws)
    await sent(queue, '{"task_token": "a secret"}')
    (letter,) = await ours(aws, queue.url).receive(1)
    assert "a secret" not in repr(letter)
    assert letter.receipt not in repr(letter)
