"""The sandbox put together, and served.

async with Sandbox().serve(port=0) as server:
    client = stripe.StripeClient("sk_test_x", base_addresses={"api": server.url})
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import web

from stripe_sandbox import browser, control, inspector
from stripe_sandbox.account import Account
from stripe_sandbox.api import Api, Mode
from stripe_sandbox.clock import Clock
from stripe_sandbox.deliveries import Deliveries
from stripe_sandbox.faults import Script
from stripe_sandbox.holds import Holds
from stripe_sandbox.idempotency import IdempotencyKeys
from stripe_sandbox.ids import Ids
from stripe_sandbox.kept import Container, Kept
from stripe_sandbox.rate_limit import RateLimit
from stripe_sandbox.requests_log import RequestLog
from stripe_sandbox.resources import webhook_endpoints
from stripe_sandbox.schedule import Schedule
from stripe_sandbox.search import USUAL_LAG_SECONDS
from stripe_sandbox.state_file import StateFile

CLOSE_SECONDS: Final = 2.0
"""How long open requests may take once the server is told to stop."""


NUMBER_KEY_LENGTH: Final = 43
"""In letters and digits: 256 bits."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """An endpoint for all test events that is there from the start.

    `secret` is the `whsec_…` that signs; both sides can know it before anything runs.
    """

    url: str
    secret: str


@dataclass(frozen=True, slots=True)
class Server:
    """A sandbox that listens at `url`, an `http://host:port` without a path."""

    sandbox: "Sandbox"
    url: str


class Sandbox:
    """A stateful Stripe of its own.

    Args:
        keys: the secret keys accepted; none given, any `sk_test_…` or `sk_live_…` is.
        webhook: an endpoint that exists from the start, and again after a reset.
        clock: the machine's unless a test brings its own.
        ids: random unless seeded.
        latency_seconds: how long a call takes at least.
        search_lag_seconds: how far searching is behind what happened.
        rate_limit: how many requests a second each mode takes; any number where none is given.
        card_numbers: whether test mode takes card numbers, as Stripe does from accounts that may handle them.
        data: a file that keeps everything but faults and holds over restarts; in memory otherwise.

    Raises:
        UnusableFileError: the file is in use, or not of the sandbox's.
    """

    def __init__(  # noqa: PLR0913 - every one has a default, and a test sets the one it is about
        self,
        *,
        keys: Sequence[str] = (),
        webhook: Webhook | None = None,
        clock: Clock | None = None,
        ids: Ids | None = None,
        latency_seconds: float = 0.0,
        search_lag_seconds: float = USUAL_LAG_SECONDS,
        rate_limit: int | None = None,
        card_numbers: bool = False,
        data: Path | None = None,
    ) -> None:
        self.clock = clock or Clock()
        self.ids = ids or Ids()
        self.log = RequestLog()
        self._modes: dict[bool, Mode] = {}
        self.schedule = Schedule(self.clock, self._account)
        self.script = Script()
        self.holds = Holds()
        self.deliveries = Deliveries(self.clock, self.schedule, self._account, self.save)
        self._time: Kept[float] = Kept()
        self._card_numbers = card_numbers
        self._secrets: Kept[str] = Kept()
        self._file = None if data is None else StateFile(data)
        self._webhook = webhook
        self._search_lag_seconds = search_lag_seconds
        self._rate_limit = rate_limit
        self._api = Api(
            modes=self._modes.__getitem__,
            clock=self.clock,
            ids=self.ids,
            log=self.log,
            script=self.script,
            holds=self.holds,
            keys=keys,
            save=self.save,
            latency_seconds=latency_seconds,
            number_key=self._number_key,
        )
        self._open()
        self._resume()
        self._put_webhook()

    def account(self, *, livemode: bool = False) -> Account:
        """The objects of one mode."""
        return self._modes[livemode].account

    def reset(self) -> None:
        """Forgets every object, key, due thing, logged request, fault and hold; goes back to the machine's time."""
        for mode in self._modes.values():
            mode.account.closed = True
        self.schedule.clear()
        self.log.clear()
        self._secrets.clear()
        self.deliveries.clear()
        self.script.clear()
        self.holds.release()
        self.clock.restore()
        if self._file is not None:
            self._file.clear()
        self._open()
        self._put_webhook()

    def save(self) -> None:
        """Writes down what has changed, where there is a file for it; what is answered or delivered must be there.

        Raises:
            UnusableFileError: the file can no longer be written.
        """
        if self._file is None:
            for container in self._kept.values():
                container.written()
            return
        if self._time.get("offset_seconds") != self.clock.offset_seconds:
            self._time["offset_seconds"] = self.clock.offset_seconds
        self._file.save(self._kept)

    async def advance(self, seconds: float) -> None:
        """Moves time forward; everything due on the way happens at its moment, deliveries included."""
        target = self.clock.now() + seconds
        while True:
            await self.deliveries.settle()
            moment = self.schedule.next_moment()
            if moment is None or moment > target:
                break
            self.clock.move_to(moment)
            self.schedule.run_due()
        self.clock.move_to(target)

    def roll_secret(self, endpoint_id: str, overlap_seconds: float = 0.0) -> str:
        """Gives a webhook endpoint of either mode a new secret; the old one signs beside it for so long.

        Raises:
            KeyError: there is no such endpoint.
        """
        for account in self._accounts():
            if endpoint_id in account.webhook_endpoints:
                return webhook_endpoints.roll(account, endpoint_id, overlap_seconds)
        raise KeyError(endpoint_id)

    async def settle(self) -> None:
        """Waits until every event made so far has been tried at its endpoints."""
        await self.deliveries.settle()

    @asynccontextmanager
    async def serve(self, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Server]:
        """Listens until the block ends; port 0 takes a free one.

        Raises:
            OSError: the address is taken.
        """
        runner = web.ServerRunner(web.Server(self._answer, access_log=None), shutdown_timeout=CLOSE_SECONDS)
        await self.deliveries.start()
        due = asyncio.create_task(self.schedule.keep())
        try:
            await runner.setup()
            await web.TCPSite(runner, host, port).start()
            bound = runner.addresses[0]
            name = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
            yield Server(self, f"http://{name}:{bound[1]}")
        finally:
            self.holds.release()  # or who is held would be waited for
            await runner.cleanup()
            due.cancel()
            with suppress(asyncio.CancelledError):
                await due
            await self.deliveries.stop()
            self._close()

    def _open(self) -> None:
        for livemode in (False, True):
            account = Account(
                livemode=livemode,
                clock=self.clock,
                ids=self.ids,
                schedule=self.schedule,
                courier=self.deliveries,
                script=self.script,
                search_lag_seconds=self._search_lag_seconds,
            )
            self._modes[livemode] = Mode(account, IdempotencyKeys(self.clock), RateLimit(self.clock, self._rate_limit))

        self._kept = self._containers()

    def _put_webhook(self) -> None:
        if self._webhook is None:
            return
        account, url, secret = self.account(), self._webhook.url, self._webhook.secret
        there = next((endpoint for endpoint in account.webhook_endpoints if endpoint["url"] == url), None)
        if there is None:
            webhook_endpoints.add(account, url=url, enabled_events=["*"], secret=secret)
        else:  # kept from before; whoever started it knows this secret
            account.signing_secrets[there["id"]] = secret

    def _account(self, livemode: bool) -> Account:  # noqa: FBT001 - for who reads it from a file
        return self._modes[livemode].account

    def _containers(self) -> dict[str, Container]:
        """All that is worth keeping, by name."""
        containers: dict[str, Container] = {
            "time": self._time,
            "secrets": self._secrets,
            "schedule": self.schedule.waiting,
            "deliveries": self.deliveries.waiting,
            "attempts": self.deliveries.attempts,
            "requests": self.log.entries,
        }
        for livemode, mode in self._modes.items():
            prefix = "live" if livemode else "test"
            containers[f"{prefix}.idempotency_keys"] = mode.keys.finished
            containers |= {f"{prefix}.{name}": kept for name, kept in mode.account.containers().items()}
        return containers

    def _number_key(self) -> str | None:
        """What seals card numbers: kept with what it sealed, so that a repeated request is known after a restart."""
        if not self._card_numbers:
            return None
        key = self._secrets.get("card_numbers")
        if key is None:
            key = self._secrets["card_numbers"] = self.ids.text(NUMBER_KEY_LENGTH)
        return key

    def _resume(self) -> None:
        if self._file is None:
            return
        self._file.load(self._kept)
        self.clock.restore(self._time.get("offset_seconds") or 0.0)
        self.schedule.resume()
        self.deliveries.resume()

    def _close(self) -> None:
        if self._file is not None:
            self.save()
            self._file.close()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        answer = await self._answered(request)
        self.save()
        return answer

    async def _answered(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        if path.startswith("/_sandbox/"):
            return await control.answer(request, self)
        if path.startswith("/redirect/authenticate/"):
            return await browser.authenticate(request, self._accounts)
        if path.startswith("/receipts/"):
            return await browser.receipt(request, self._accounts)
        return await inspector.answer(request, self) or await self._api.answer(request)

    def _accounts(self) -> list[Account]:
        return [mode.account for mode in self._modes.values()]
