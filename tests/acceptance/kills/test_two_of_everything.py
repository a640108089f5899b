"""Several of each role on one database: under load and kills, and with a worker that wakes after its claim ended."""

import asyncio
import random  # noqa: TID251 - seeded: which roles are killed, and in the middle of what
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

import httpx
import pytest
from tests.acceptance.kills.record import Record
from tests.acceptance.kills.sandbox import Sandbox
from tests.acceptance.kills.scene import WEBHOOKS, Scene, all_succeeded
from tests.relay import relayed
from tests.stage import Running, Stage, authority, becomes, free_port

from counterfoil.config import STRIPE_API_VERSION

SEED = 20
ROUNDS = 15
ORDERS_A_ROUND = 20
ORDERS_AT_ONCE = 24
LOAD_SECONDS = 300
ROLES = {"gateway": 2, "webhook-receiver": 2, "worker": 3, "outbox-publisher": 2}
CARDS = {
    "pm_card_visa": "succeeded",
    "pm_card_chargeDeclined": "failed",
    "pm_card_threeDSecure2Required": "requires_action",
}
IN_HAND = httpx.codes.CONFLICT
DELIVERED_AGAIN_SECONDS = (300, 1800, 7200)
"""After these, in turn, Stripe comes again with what nobody acknowledged."""


@pytest.fixture
async def alone(stage: Stage) -> AsyncIterator[Scene]:
    """A scene of this test's own, on a database that nobody else touches."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with (
        httpx.AsyncClient(trust_env=False, timeout=40, limits=limits) as http,
        Record.of(stage.database_url) as record,
    ):
        stage.start_sandbox("--latency", "0.1")
        yield Scene(stage, record, Sandbox(stage.sandbox_url, http), http, await authority(stage))


@dataclass
class Crowd:
    """Every process of every role, each at an address that it has again after a kill."""

    stage: Stage
    settings: Mapping[tuple[str, int], Mapping[str, str]]
    running: dict[tuple[str, int], Running] = field(default_factory=dict)

    async def start(self, who: tuple[str, int]) -> None:
        """Start one, without holding up whoever else is at work."""
        self.running[who] = await asyncio.to_thread(self.stage.start, who[0], **self.settings[who])

    async def kill(self, who: tuple[str, int]) -> None:
        """Kill one, and start it again."""
        self.running[who].kill()
        await self.start(who)

    def gateways(self) -> list[Running]:
        """Return the gateways, as they are now."""
        return [self.running["gateway", number] for number in range(ROLES["gateway"])]


async def gathered(scene: Scene) -> Crowd:
    """Start everybody; each receiver is an endpoint of its own, with a secret of its own."""
    settings = {(role, number): {"PORT": str(free_port())} for role, count in ROLES.items() for number in range(count)}
    for (role, _), own in settings.items():
        if role == "webhook-receiver":
            url = f"http://127.0.0.1:{own['PORT']}{WEBHOOKS}"
            own["STRIPE_WEBHOOK_SECRETS"] = await scene.sandbox.register(url, STRIPE_API_VERSION)
    crowd = Crowd(scene.stage, settings)
    for who in settings:
        await crowd.start(who)
    return crowd


async def ordered(scene: Scene, crowd: Crowd, event: str, card: str) -> set[str]:
    """Order at both gateways at once until one of them answers, and return what payments were named.

    Where the event is in hand and whoever had it in hand is dead, nobody can answer before its claim expires.
    """
    named: set[str] = set()
    while True:
        placed = [scene.place(gateway, event, payment_method=card) for gateway in crowd.gateways()]
        answers = await asyncio.gather(*placed, return_exceptions=True)
        for answer in answers:
            assert isinstance(answer, httpx.Response | httpx.TransportError), answer
            if isinstance(answer, httpx.Response):
                assert answer.status_code in {200, 202, 402, 409, 503}, answer.text
                named |= {answer.json()["payment_id"]} if "payment_id" in answer.json() else set()
        if named or all(isinstance(one, httpx.Response) and one.status_code == IN_HAND for one in answers):
            return named
        await asyncio.sleep(0.05)


@pytest.mark.storm
async def test_two_of_everything_under_load_and_kills(alone: Scene) -> None:
    """Whoever is killed, both sides' books are the same, each event has one payment, and nothing is charged twice."""
    print(f"seed {SEED}")  # noqa: T201 - the kills of a run that fails can be had again
    chance = random.Random(SEED)  # noqa: S311 - a test wants the same kills each time
    await alone.sandbox.distort({"fault": "event_twice", "probability": 0.2, "seed": SEED})
    crowd = await gathered(alone)
    victims = [*crowd.settings, *chance.choices(list(crowd.settings), k=ROUNDS - len(crowd.settings))]
    chance.shuffle(victims)
    cards = {f"load-{number}": chance.choice(list(CARDS)) for number in range(ROUNDS * ORDERS_A_ROUND)}

    named: dict[str, set[str]] = {}
    places = asyncio.Semaphore(ORDERS_AT_ONCE)

    async def client(event: str) -> None:
        async with places:
            named[event] = await ordered(alone, crowd, event, cards[event])

    async def ended() -> int:
        return len(named)

    waiting = iter(cards)
    async with asyncio.timeout(LOAD_SECONDS), asyncio.TaskGroup() as load:
        for victim in victims:
            enough = len(named) + chance.randrange(ORDERS_A_ROUND)
            for _ in range(ORDERS_A_ROUND):
                load.create_task(client(next(waiting)))
            await becomes(lambda count, enough=enough: count >= enough, ended)
            await crowd.kill(victim)

    expected = {event: CARDS[card] for event, card in cards.items()}
    await settled(alone, expected)
    for event, card in cards.items():
        again = await ordered(alone, crowd, event, card)
        assert len(named[event] | again) == 1, event
    await alone.agree(expected)


async def settled(scene: Scene, expected: Mapping[str, str]) -> None:
    """Return when the load's payments are where they end, and everything that Stripe told of them was read."""
    await scene.record.pass_time(await scene.record.open_events())
    await scene.come_to(expected)
    for seconds in DELIVERED_AGAIN_SECONDS:
        await scene.sandbox.advance(seconds)
    told = {event["id"] for event in await scene.sandbox.listed("events")}

    async def fates() -> Mapping[str, str]:
        return {event: state for event, (state, _) in (await scene.record.notices()).items()}

    await becomes(dict.fromkeys(told, "done"), fates)
    assert max(deliveries for _, deliveries in (await scene.record.notices()).values()) > 1


@pytest.mark.parametrize("late", ["the answer", "the request"])
async def test_pitfall_27_a_worker_frozen_past_its_claim_records_nothing(alone: Scene, late: str) -> None:
    """It wakes when another has claimed, sent and recorded: what it hears then, sent or answered late, is stale."""
    events = [f"frozen-{number}" for number in range(1, 6)]
    await alone.accept(events)
    alone.stage.start("outbox-publisher")
    with relayed(alone.sandbox.url) as wire:
        frozen = alone.stage.start("worker", STRIPE_API_BASE=wire.url)
        holds = []
        if late == "the answer":
            holds = [await alone.sandbox.hold(event, "after") for event in events]
        else:
            wire.fall_silent()
        await alone.record.pass_time(events)
        for hold in holds:
            await alone.sandbox.until_held(hold)
        await becomes(dict.fromkeys(events, 2), lambda: alone.record.fences(events))
        frozen.freeze()

        alone.stage.start("worker")
        await alone.record.pass_time(events)
        await alone.come_to(all_succeeded(events))
        before = await alone.record.facts()
        frozen.thaw()
        wire.speak()
        for hold in holds:
            await alone.sandbox.let_go(hold)
        await becomes(len(events), lambda: stale(frozen))

    assert await alone.record.fences(events) == dict.fromkeys(events, 3)
    assert [(one.payment_id, one.version, one.name) for one in await alone.record.facts()] == [
        (one.payment_id, one.version, one.name) for one in before
    ]
    await alone.agree(all_succeeded(events))


async def stale(worker: Running) -> int:
    """Return how many answers a worker was too late to record."""
    return worker.log().count("authorize.stale")
