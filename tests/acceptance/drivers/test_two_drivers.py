"""One payment, driven by the plain worker and by a state machine: the same payment, the same facts, the same effects.

Every scene is played with both drivers side by side. Receipts are counted at the mail server, and what the stock is
asked for in what was published.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import httpx
import pytest
import pytest_asyncio
from tests.acceptance.drivers.town import MANDATE, NAME, Driver, Machine, Outcome, Plain, Town, deployed, hired, wanted
from tests.acceptance.merchant import answers_challenge, merchant_at
from tests.aws import Aws
from tests.mail_server import Mood, mail_server
from tests.stage import KEY, Stage, becomes

CHALLENGED = "pm_card_threeDSecure2Required"
MUGS = '[{"quantity": 2, "sku": "mug"}]'

pytestmark = pytest.mark.asyncio(loop_scope="session")


def paid(*story: str, attempts: tuple[str, ...] = ("captured",)) -> Outcome:
    """What comes of a payment that succeeds, however it came to that."""
    return Outcome(
        "succeeded",
        1999,
        attempts,
        ("PaymentRequested", *story, "PaymentSucceeded", "InventoryAdjustmentRequested"),
        (("receipt", "done"), ("stock_decrement", "done")),
        ("receipt",),
        (("DECREMENT", MUGS),),
    )


DECLINED = Outcome(
    "failed",
    0,
    ("declined",),
    ("PaymentRequested", "PaymentFailed", "InventoryAdjustmentRequested"),
    (("customer_notice", "done"), ("stock_release", "done")),
    ("notice",),
    (("RELEASE", MUGS),),
)


Scene = Callable[[Town, httpx.AsyncClient, Driver], Awaitable[None]]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def town(shared_stage: Stage, aws: Aws) -> AsyncIterator[Town]:
    """A whole installation that all scenes share: each has its own orders in it."""
    async with mail_server() as mail:
        stage = shared_stage
        queue, machine = await asyncio.to_thread(deployed, aws)
        await asyncio.to_thread(stage.start_registered_receiver)
        starting = [
            asyncio.to_thread(stage.start, "outbox-publisher"),
            asyncio.to_thread(hired, stage, aws, queue, mail),
        ]
        _, worker = await asyncio.gather(*starting)
        yield Town(stage, await merchant_at(stage), mail, aws, queue, machine, worker)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def http() -> AsyncIterator[httpx.AsyncClient]:
    """Asks over real HTTP."""
    async with httpx.AsyncClient(trust_env=False, timeout=40) as client:
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def playing(town: Town, http: httpx.AsyncClient) -> AsyncIterator[Mapping[Scene, "asyncio.Future[None]"]]:
    """The scenes that do not disturb one another, all begun at once."""
    begun = {scene: asyncio.ensure_future(play(town, http, scene)) for scene in SIDE_BY_SIDE}
    yield begun
    for one in begun.values():
        one.cancel()
    await asyncio.gather(*begun.values(), return_exceptions=True)


async def play(town: Town, http: httpx.AsyncClient, scene: Scene) -> None:
    """Play a scene with both drivers."""
    await asyncio.gather(scene(town, http, Plain(town, http)), scene(town, http, Machine(town)))


async def ends(town: Town, driver: Driver, event_id: str, expected: Outcome | None, said: dict[str, str]) -> None:
    """Wait until an order has come to what is expected; whoever placed it must be answered as is said."""
    await town.becomes(event_id, expected)
    assert await driver.said() == said[driver.name]


async def success(town: Town, http: httpx.AsyncClient, driver: Driver) -> None:  # noqa: ARG001 - as every scene
    """A card that is good."""
    order = wanted("success", driver)
    await driver.place(order)
    await ends(town, driver, order["event_id"], paid(), {"plain": "200", "machine": "SUCCEEDED"})


async def decline(town: Town, http: httpx.AsyncClient, driver: Driver) -> None:  # noqa: ARG001 - as every scene
    """A card that is not."""
    order = wanted("decline", driver, payment_method="pm_card_chargeDeclined")
    await driver.place(order)
    said = {"plain": "402 card-declined", "machine": "FAILED PaymentDeclined"}
    await ends(town, driver, order["event_id"], DECLINED, said)


async def retry(town: Town, http: httpx.AsyncClient, driver: Driver) -> None:
    """A stored card whose bank says no, and yes when it is asked once more: by the worker, or by the machine."""
    key = {"Authorization": f"Bearer {KEY}"}
    stripe = town.stage.sandbox_url
    customer = (await http.post(f"{stripe}/v1/customers", headers=key)).json()["id"]
    attach = f"{stripe}/v1/payment_methods/pm_card_visa/attach"
    card = (await http.post(attach, data={"customer": customer}, headers=key)).json()["id"]
    order = wanted("retry", driver, payment_method=card, customer_id=customer, off_session=True)
    once = {"fault": "decline", "code": "insufficient_funds", "idempotency_key": order["event_id"]}
    await town.merchant.script(http, "faults", once)
    await driver.place(order)
    payment_id = await town.payment_id(order["event_id"])
    await becomes(bool, lambda: town.is_planned(payment_id))
    if driver.name == "plain":  # ten minutes pass
        due = "UPDATE payments SET retry_at = now(), next_check_at = now() WHERE id ="
        await town.change(f"{due} '{payment_id}'")
    expected = paid("PaymentAttemptFailed", "PaymentRequested", attempts=("declined", "captured"))
    await ends(town, driver, order["event_id"], expected, {"plain": "202", "machine": "SUCCEEDED"})


async def three_d_secure(town: Town, http: httpx.AsyncClient, driver: Driver) -> None:
    """A customer who identifies themselves: the machine sleeps meanwhile."""
    order = wanted("challenge", driver, payment_method=CHALLENGED)
    await driver.place(order)
    await approve(town, http, await town.payment_id(order["event_id"]))
    expected = paid("PaymentActionRequired")
    await ends(town, driver, order["event_id"], expected, {"plain": "202", "machine": "SUCCEEDED"})


async def timeout(town: Town, http: httpx.AsyncClient, driver: Driver) -> None:
    """The machine gives up while the customer takes their time: the late success has its receipt all the same, once."""
    order = wanted("timeout", driver, payment_method=CHALLENGED)
    await driver.place(order, payment_seconds=4, heartbeat_seconds=3)
    if driver.name == "machine":
        assert await driver.said() == "FAILED PaymentTimedOut"
    await approve(town, http, await town.payment_id(order["event_id"]))
    await town.becomes(order["event_id"], paid("PaymentActionRequired"))


async def early(town: Town, http: httpx.AsyncClient, driver: Driver) -> None:
    """The payment has ended before its driver comes to it: who asks then is answered at once, by what there is."""
    order = wanted("early", driver)
    await Plain(town, http).place(order)
    await town.becomes(order["event_id"], paid())
    await driver.place(order)
    await ends(town, driver, order["event_id"], paid(), {"plain": "200", "machine": "SUCCEEDED"})


async def refused(town: Town, http: httpx.AsyncClient, driver: Driver) -> None:  # noqa: ARG001 - as every scene
    """An amount that is too small to be charged makes no payment."""
    order = wanted("refused", driver, amount_cents=1)
    await driver.place(order)
    said = {"plain": "422 amount-refused", "machine": "FAILED PaymentRefused"}
    await ends(town, driver, order["event_id"], None, said)


async def debit(town: Town, http: httpx.AsyncClient, driver: Driver) -> None:
    """A bank that takes three days, while the machine sleeps; both drivers wait for the same days."""
    order = wanted("debit", driver, payment_method="pm_sepaDebit_success_de", mandate=MANDATE)
    await driver.place(order)
    payment_id = await town.payment_id(order["event_id"])
    await becomes("processing", lambda: town.merchant.status(http, payment_id))


async def approve(town: Town, http: httpx.AsyncClient, payment_id: str) -> None:
    """Do what the customer is asked to."""
    await becomes("requires_action", lambda: town.merchant.status(http, payment_id))
    action = (await town.merchant.payment(http, payment_id))["action"]
    assert (await answers_challenge(http, action["url"], "approve")).status_code == httpx.codes.SEE_OTHER


SIDE_BY_SIDE: tuple[Scene, ...] = (success, decline, retry, three_d_secure, timeout, early, refused)


@pytest.mark.parametrize("scene", SIDE_BY_SIDE, ids=lambda scene: scene.__name__)
async def test_both_drivers_come_to_the_same(playing: Mapping[Scene, "asyncio.Future[None]"], scene: Scene) -> None:
    """As the scene says: one payment, its facts in order, its effects, one letter, one word to the stock."""
    await playing[scene]


async def test_a_bank_debit_settles_days_later(
    town: Town, http: httpx.AsyncClient, playing: Mapping[Scene, "asyncio.Future[None]"]
) -> None:
    """Three days of the bank's are seconds here: both drivers wait, then both have the money and what follows."""
    await asyncio.gather(*playing.values())
    plain, machine = Plain(town, http), Machine(town)
    await asyncio.gather(debit(town, http, plain), debit(town, http, machine))
    await town.merchant.days_pass(http, 3)
    for driver, said in ((plain, "202"), (machine, "SUCCEEDED")):
        await town.becomes(f"event-debit-{driver.name}", paid("PaymentProcessing"))
        assert await driver.said() == said


async def test_a_webhook_that_comes_again_and_again_changes_nothing(town: Town, http: httpx.AsyncClient) -> None:
    """Each event is delivered four times, and each change made two events: one token answered, one of each effect."""
    drivers: list[Driver] = [Plain(town, http), Machine(town)]
    orders = [wanted("duplicates", driver, payment_method=CHALLENGED) for driver in drivers]
    async with (
        town.merchant.fault(http, fault="event_twice"),
        town.merchant.fault(http, fault="event_repeated", copies=3),
    ):
        await asyncio.gather(*(driver.place(order) for driver, order in zip(drivers, orders, strict=True)))
        for order in orders:
            await approve(town, http, await town.payment_id(order["event_id"]))
        for driver, order in zip(drivers, orders, strict=True):
            said = {"plain": "202", "machine": "SUCCEEDED"}
            await ends(town, driver, order["event_id"], paid("PaymentActionRequired"), said)


async def test_a_worker_killed_in_the_middle_leaves_it_to_another(town: Town, http: httpx.AsyncClient) -> None:
    """It dies with both customers' letters under way and the machine asleep: each has one letter in the end."""
    town.mail.begun.clear()
    town.mail.mood = Mood.HANGS
    drivers: list[Driver] = [Plain(town, http), Machine(town)]
    orders = [wanted("killed", driver) for driver in drivers]
    await asyncio.gather(*(driver.place(order) for driver, order in zip(drivers, orders, strict=True)))
    for order in orders:
        await town.is_begun(order["event_id"])
    await asyncio.to_thread(town.worker.kill)
    town.mail.mood = Mood.TAKES
    await town.change("UPDATE effects SET claim_expires_at = now() WHERE claimed_by IS NOT NULL")
    await town.change("UPDATE task_tokens SET claim_expires_at = now() WHERE claimed_by IS NOT NULL")
    town.worker = await asyncio.to_thread(hired, town.stage, town.aws, town.queue, town.mail)
    for driver, order in zip(drivers, orders, strict=True):
        await ends(town, driver, order["event_id"], paid(), {"plain": "200", "machine": "SUCCEEDED"})


async def test_in_the_end_nothing_happened_twice(town: Town) -> None:
    """Counted over all scenes, some time later: as many letters and words to the stock as payments, no token left."""
    payments = await town.rows("SELECT count(*) FROM payments")
    assert [(len(town.mail.kept),)] == payments
    assert await town.rows("SELECT count(*) FROM facts WHERE name = 'InventoryAdjustmentRequested'") == payments
    assert len(set(town.mail.kinds())) == len(town.mail.kept)
    await becomes([(0,)], lambda: town.rows("SELECT count(*) FROM task_tokens WHERE token IS NOT NULL"))
    await becomes(bool, lambda: asyncio.to_thread(town.queue.is_empty))
    dead = "SELECT p.event_id FROM task_tokens AS t JOIN payments AS p ON p.id = t.payment_id WHERE t.outcome = 'dead'"
    found = {event_id for (event_id,) in await town.rows(dead)}
    # A worker that is killed may have told Step Functions, and not us: then its answer was refused the second time.
    assert found - {"event-killed-machine"} == {"event-timeout-machine"}
    assert NAME in town.machine
