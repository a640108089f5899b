"""Messages leave for Kafka many at a time, and each is known to be there, or not."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final

import structlog
from confluent_kafka import KafkaError, KafkaException, Message
from confluent_kafka import Producer as Client

from counterfoil.bus.message import Outgoing, Told, Undelivered
from counterfoil.domain.errors import Unavailable

DELIVERY_MS: Final = 20_000
"""What is not acknowledged in this time may be there or not, and is published again."""

UNKNOWN_TOPIC_MS: Final = 2_000
"""A topic that no broker knows is given so long to appear; what is for it must not hold up a shutdown."""

_POLL_SECONDS: Final = 0.1
_ANEW_SECONDS: Final = 1.0
_ALONE: Final = {"batch.num.messages": 1}
_NO_TOPIC: Final = frozenset(
    {
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001 - librdkafka's own codes begin so
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.TOPIC_EXCEPTION,
    }
)

_SETTINGS: Final[Mapping[str, Any]] = {
    "acks": "all",
    "enable.idempotence": True,  # a retry of the client's own neither doubles nor reorders
    "linger.ms": 1,  # what is ready is handed over at once: there is no company to wait for
    "compression.type": "lz4",
    "delivery.timeout.ms": DELIVERY_MS,
    "topic.metadata.propagation.max.ms": UNKNOWN_TOPIC_MS,
    "queue.buffering.max.messages": 100_000,
}


_log = structlog.get_logger()


class Producer:
    """Sends messages from the loop that made it.

    One thread hears librdkafka; what it hears in a moment wakes the loop once, however many messages that is about.

    A broker measures a batch, not a message: where a topic takes less than a megabyte, what travels together is refused
    together, however small each is. So a broker's "too large" is believed of a message only once it has come alone.

    A client that met a fatal error, as after a broker has lost what it had acknowledged, takes nothing any more. Then
    what was on its way is told to be lost, and another client takes its place.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = {**config, **_SETTINGS}
        self._client = Client(self._config)
        self._alone: Client | None = None
        self._loop = asyncio.get_running_loop()
        self._heard: list[tuple[Told, Undelivered | None]] = []
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="kafka producer", daemon=True)
        self._thread.start()

    def hand_over(self, message: Outgoing, told: Told) -> None:
        """Take a message on its way; ``told`` is called from the loop, with None where a broker has it for good."""
        self._produce(self._client, message, told, partial(self._delivered, message, told))

    def _produce(
        self, client: Client, message: Outgoing, told: Told, on_delivery: Callable[[KafkaError | None, Message], None]
    ) -> None:
        try:
            client.produce(
                message.topic, message.value, message.key, headers=list(message.headers), on_delivery=on_delivery
            )
        except KafkaException as refusal:
            self._tell(told, _undelivered(refusal.args[0]))
        except BufferError:
            self._tell(told, Undelivered("the client's queue is full", for_good=False))

    async def reach(self, timeout_seconds: float) -> None:
        """Return once a broker has answered.

        Raises:
            Unavailable: none did in that time.
        """
        try:
            await asyncio.to_thread(self._client.list_topics, timeout=timeout_seconds)
        except KafkaException as failure:
            raise Unavailable("broker at KAFKA_BROKERS") from failure

    async def close(self, timeout_seconds: float) -> None:
        """Return once all that is on its way was heard of, or that time is over."""
        for client in (self._client, self._alone):
            if client is not None:
                with suppress(KafkaException):  # fatal, and there is no use in another one now
                    await asyncio.to_thread(client.flush, timeout_seconds)
        self._ending.set()
        await asyncio.to_thread(self._thread.join)

    def _listen(self) -> None:
        while not self._ending.is_set():
            try:
                self._client.poll(_POLL_SECONDS)
                if self._alone is not None:
                    self._alone.poll(0)
            except KafkaException as failure:  # raised once, and for what is fatal only
                _log.error("producer.fatal", error=failure.args[0].name())
                self._begin_anew()

    def _begin_anew(self) -> None:
        """Take another client, and tell of all that the one before had."""
        self._ending.wait(_ANEW_SECONDS)  # where brokers refuse each of them, there is no hurry
        with self._lock:
            before = [one for one in (self._client, self._alone) if one is not None]
            self._client, self._alone = Client(self._config), None
        for one in before:
            one.purge()
            with suppress(KafkaException):
                one.flush(_ANEW_SECONDS)

    def _delivered(self, message: Outgoing, told: Told, error: KafkaError | None, _sent: Message) -> None:
        if error is not None and error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            self._produce(self._one_by_one(), message, told, partial(self._delivered_alone, told))
        else:
            self._delivered_alone(told, error, _sent)

    def _delivered_alone(self, told: Told, error: KafkaError | None, _sent: Message) -> None:
        self._tell(told, None if error is None else _undelivered(error))

    def _one_by_one(self) -> Client:
        """Return the client that sends each message alone; most installations never need it."""
        with self._lock:
            if self._alone is None:
                self._alone = Client({**self._config, **_ALONE})
            return self._alone

    def _tell(self, told: Told, found: Undelivered | None) -> None:
        with self._lock:
            self._heard.append((told, found))
            first = len(self._heard) == 1
        if first:
            self._loop.call_soon_threadsafe(self._pass_on)

    def _pass_on(self) -> None:
        with self._lock:
            heard, self._heard = self._heard, []
        for told, found in heard:
            told(found)


def _undelivered(error: KafkaError) -> Undelivered:
    code = error.code()
    return Undelivered(error.name(), for_good=code == KafkaError.MSG_SIZE_TOO_LARGE, no_topic=code in _NO_TOPIC)
