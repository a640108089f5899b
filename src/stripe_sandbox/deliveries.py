"""Events on their way to the endpoints: signed, several at once, and again until one is accepted."""

import asyncio
import hashlib
import hmac
import logging
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, replace
from itertools import count
from typing import Any, Final, Literal

import aiohttp

from stripe_sandbox import versions, wire
from stripe_sandbox.account import Account
from stripe_sandbox.clock import Clock
from stripe_sandbox.faults import Fault
from stripe_sandbox.kept import Kept
from stripe_sandbox.records import Object
from stripe_sandbox.resources import webhook_endpoints
from stripe_sandbox.schedule import Schedule, due

logger = logging.getLogger(__name__)

PARALLEL: Final = 32
"""Deliveries under way at once: enough that one slow receiver does not hold up a burst, few enough for a laptop."""

ANSWER_SECONDS: Final = 20.0
"""How long a receiver may take; Stripe says only that it must answer quickly."""

IDLE_SECONDS: Final = 1.0
"""How long a connection is kept for the next delivery: less than any server keeps it. One sent into a closing
connection would fail, and come again only minutes later."""

HOUR: Final = 3600.0

TEST_RETRIES_SECONDS: Final = (300.0, 0.5 * HOUR, 2 * HOUR)
"""After each failure. Test events: three times over a few hours (https://docs.stripe.com/webhooks#retries)."""

LIVE_RETRIES_SECONDS: Final = (300.0, 0.5 * HOUR, 2 * HOUR, 5 * HOUR, 10 * HOUR, *(12 * HOUR,) * 4)
"""Live events: for up to three days with growing pauses (the same page); the pauses are as merchants have seen them."""

ATTEMPTS_KEPT: Final = 10_000

OVERTAKEN_SECONDS: Final = 60.0
"""How long an event that is to be overtaken waits at most: nothing may come after it."""

STALE_SECONDS: Final = int(HOUR)
"""Far beyond the five minutes that Stripe's verifiers allow."""

Flaw = Literal["altered", "missing", "stale"]
"""What a fault does to the signature of a delivery."""

USER_AGENT: Final = "Stripe/1.0 (+https://stripe.com/docs/webhooks)"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to deliver one event to one endpoint, for the log.

    `status` is the receiver's, or nothing when it gave none; `error` then says why.
    """

    event_id: str
    event_type: str
    endpoint_id: str
    number: int
    at: float
    status: int | None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class _Delivery:
    account: Account
    event_id: str
    endpoint_id: str
    number: int
    flaw: Flaw | None = None
    further: bool = False  # beside the one that counts: its end changes nothing


def _told(delivery: _Delivery) -> Any:
    told = {name: getattr(delivery, name) for name in _Delivery.__slots__ if name != "account"}
    return {"livemode": delivery.account.livemode, **told}


def signature(secrets: Sequence[str], body: str, timestamp: int, *, livemode: bool) -> str:
    """The `Stripe-Signature` header: HMAC-SHA256 over `timestamp.body`, keyed with each secret as it is written.

    While a secret is being rolled there are two, newest first (https://docs.stripe.com/webhooks#roll-endpoint-secrets).

    Test deliveries carry a meaningless `v0` beside `v1`, as Stripe's do (https://docs.stripe.com/webhooks#verify-manually),
    so that a verifier which takes any scheme is found out.
    """
    signed = f"{timestamp}.{body}".encode()
    signatures = [f"v1={hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()}" for secret in secrets]
    header = ",".join([f"t={timestamp}", *signatures])
    return header if livemode else f"{header},v0={hashlib.sha256(signed).hexdigest()}"


def _void(account: Account) -> bool:
    """Whether a reset has put another account in this one's place, perhaps while a receiver was thinking."""
    return account.closed


def _flawed(flaw: Flaw | None, sign: Callable[[int], str], now: int) -> dict[str, str]:
    """The signature header of one delivery, right unless a fault spoils it."""
    if flaw == "missing":
        return {}
    header = sign(now - STALE_SECONDS if flaw == "stale" else now)
    if flaw == "altered":
        fields = [part.partition("=") for part in header.split(",")]
        header = ",".join(f"{name}={value[::-1] if name == 'v1' else value}" for name, _, value in fields)
    return {"Stripe-Signature": header}


@due
def _go_at_last(account: Account, place: int) -> None:
    account.courier.let_go(place)


@due
def _send_later(account: Account, event_id: str, endpoint_id: str, number: int) -> None:
    account.courier.send(account, event_id, endpoint_id, number)


class Deliveries:
    """The queue of deliveries and the workers that empty it.

    Args:
        clock: retries follow its time, signatures its wall.
        schedule: where retries wait.
        account: gives the half of the account that is live or not.
        save: writes down what has changed; called before anybody is told of it.
    """

    def __init__(
        self, clock: Clock, schedule: Schedule, account: Callable[[bool], Account], save: Callable[[], None]
    ) -> None:
        self._clock = clock
        self._schedule = schedule
        self._account = account
        self._save = save
        self._queue: asyncio.Queue[int] = asyncio.Queue()
        self.waiting: Kept[_Delivery] = Kept(_told, self._heard)
        """By place: what is in the queue, under way, or lets others go first."""
        self._sequence = count()
        self._overtaken: dict[int, int] = {}
        """Places of deliveries that let others go first, and how many still."""
        self._stack = AsyncExitStack()
        self._session: aiohttp.ClientSession | None = None
        self._workers: list[asyncio.Task[None]] = []
        self.attempts: Kept[Attempt] = Kept(asdict, lambda told: Attempt(**told))
        """By number, oldest first."""
        self._attempts_made = count()

    def publish(self, account: Account, event: Object, fault: Fault | None) -> None:
        """Queues an event for every enabled endpoint that asked for its type; a fault says how it goes wrong."""
        takers = [
            endpoint["id"]
            for endpoint in account.webhook_endpoints
            if endpoint["status"] == "enabled"
            and ("*" in endpoint["enabled_events"] or event["type"] in endpoint["enabled_events"])
        ]
        if takers:
            account.undelivered[event["id"]] = takers
            account.events.put({**event, "pending_webhooks": len(takers)})
        self._depart([_Delivery(account, event["id"], endpoint_id, 1) for endpoint_id in takers], fault)

    def send(self, account: Account, event_id: str, endpoint_id: str, number: int) -> None:
        """Queues one try to deliver an event."""
        self._put(_Delivery(account, event_id, endpoint_id, number))

    def let_go(self, place: int) -> None:
        """Queues a delivery that waited for others to go first; nothing if it has gone."""
        if self._overtaken.pop(place, None) is not None:
            self._queue.put_nowait(place)

    def clear(self) -> None:
        """Forgets what was tried and what waits to be, for a reset; what is under way ends without a trace."""
        self.attempts.clear()
        self.waiting.clear()
        self._overtaken.clear()

    def _depart(self, deliveries: list[_Delivery], fault: Fault | None) -> None:
        match fault:
            case Fault(kind="event_undelivered"):
                return
            case Fault(kind="event_delayed"):
                for one in deliveries:
                    self._schedule.after(
                        fault.seconds, _send_later, one.account, one.event_id, one.endpoint_id, one.number
                    )
                return
            case Fault(kind="event_reordered"):
                for one in deliveries:
                    place = self._kept(one)
                    self._overtaken[place] = fault.behind
                    self._schedule.after(OVERTAKEN_SECONDS, _go_at_last, one.account, place)
                return
            case Fault(kind="event_repeated"):
                deliveries = [replace(one, further=copy > 0) for one in deliveries for copy in range(fault.copies + 1)]
            case Fault(kind="event_forged"):
                deliveries = [replace(one, flaw=fault.signature) for one in deliveries]
            case _:
                pass
        for one in deliveries:
            self._put(one)

    def _put(self, delivery: _Delivery) -> None:
        self._queue.put_nowait(self._kept(delivery))

    def _kept(self, delivery: _Delivery) -> int:
        place = next(self._sequence)
        self.waiting[str(place)] = delivery
        return place

    def _overtake(self, gone: _Delivery) -> None:
        """Tells those that let others go first that one more to their endpoint has gone."""
        for place, others in list(self._overtaken.items()):
            if self.waiting[str(place)].endpoint_id == gone.endpoint_id:
                self._overtaken[place] = others - 1
                if others == 1:
                    self.let_go(place)

    async def start(self) -> None:
        """Opens the client and its workers."""
        self._session = await self._stack.enter_async_context(
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=PARALLEL, keepalive_timeout=IDLE_SECONDS),
                timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS),
                headers={
                    "User-Agent": USER_AGENT,
                    "Accept": "*/*; q=0.5, application/xml",
                    "Cache-Control": "no-cache",
                },
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        )
        self._workers = [asyncio.create_task(self._work()) for _ in range(PARALLEL)]

    def resume(self) -> None:
        """Goes on with what was restored; what let others go first no longer does."""
        for place in self.waiting:
            self._queue.put_nowait(int(place))
        self._sequence = count(max(map(int, self.waiting), default=-1) + 1)
        self._attempts_made = count(max(map(int, self.attempts), default=-1) + 1)

    async def stop(self) -> None:
        """Drops what is under way; the events stay in the list of events."""
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        self._workers = []
        await self._stack.aclose()

    async def settle(self) -> None:
        """Waits until every delivery that is due has been tried."""
        await self._queue.join()

    async def _work(self) -> None:
        while True:
            place = await self._queue.get()
            delivery = self.waiting.get(str(place))
            try:
                if delivery is not None:  # a reset forgets it
                    await self._deliver(delivery)
                    self._overtake(delivery)
            except Exception:
                logger.exception("delivery at place %s failed", place)
            finally:
                self._queue.task_done()
            self.waiting.pop(str(place))  # not when the sandbox ends meanwhile: then it still waits

    async def _deliver(self, delivery: _Delivery) -> None:
        account = delivery.account
        event = account.events.get(delivery.event_id)
        endpoint = account.webhook_endpoints.get(delivery.endpoint_id)
        if _void(account) or event is None or endpoint is None or endpoint["status"] != "enabled":
            return
        self._save()
        status, error = await self._post(
            endpoint["url"],
            wire.written(versions.rendered(account, event, endpoint["api_version"])),
            webhook_endpoints.live_secrets(account, delivery.endpoint_id),
            livemode=account.livemode,
            flaw=delivery.flaw,
        )
        if _void(account):
            return
        self._write_down(
            Attempt(
                delivery.event_id,
                event["type"],
                delivery.endpoint_id,
                delivery.number,
                self._clock.now(),
                status,
                error,
            )
        )
        if delivery.further:
            return
        if status is not None and 200 <= status < 300:  # noqa: PLR2004 - any 2xx is "received"
            account.failing_since.pop(delivery.endpoint_id)
            webhook_endpoints.settle(account, delivery.event_id, delivery.endpoint_id)
        else:
            webhook_endpoints.note_failure(account, delivery.endpoint_id)
            self._try_again(delivery)

    async def _post(
        self, url: str, body: str, secrets: Sequence[str], *, livemode: bool, flaw: Flaw | None
    ) -> tuple[int | None, str | None]:
        assert self._session is not None
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            **_flawed(flaw, lambda time: signature(secrets, body, time, livemode=livemode), int(self._clock.wall())),
        }
        try:
            async with self._session.post(url, data=body.encode(), headers=headers, allow_redirects=False) as answer:
                await answer.read()
                return answer.status, None
        except TimeoutError:
            return None, "timeout"
        except (aiohttp.ClientError, OSError) as error:
            return None, type(error).__name__

    def _write_down(self, attempt: Attempt) -> None:
        self.attempts[str(next(self._attempts_made))] = attempt
        if len(self.attempts) > ATTEMPTS_KEPT:
            del self.attempts[next(iter(self.attempts))]

    def _heard(self, told: Any) -> _Delivery:
        return _Delivery(self._account(told.pop("livemode")), **told)

    def _try_again(self, delivery: _Delivery) -> None:
        pauses = LIVE_RETRIES_SECONDS if delivery.account.livemode else TEST_RETRIES_SECONDS
        if delivery.number > len(pauses):
            return
        self._schedule.after(
            pauses[delivery.number - 1],
            _send_later,
            delivery.account,
            delivery.event_id,
            delivery.endpoint_id,
            delivery.number + 1,
        )
