"""What names a payment that is not here waits for it, however long; it is claimed when the payment appears."""

from datetime import timedelta
from uuid import UUID

import pytest
from tests.journey.told_by_webhook import event, intent, keep, run
from tests.orders import Shop, order

from counterfoil.domain.payment import Payment
from counterfoil.journey import accept, conclude
from counterfoil.journey.accept import Wish
from counterfoil.journey.conclude import MOST_LOOKED_THROUGH
from counterfoil.journey.weighing import MOST_TRIES, OWNER_WAIT
from counterfoil.store import notices
from counterfoil.store.notices import Awaiting, NoticeState, Parked

WAITING = """
INSERT INTO notices (account, livemode, event_id, type, received_at, received_on, deliveries, state, reason, payment_id,
                     awaits_payment)
SELECT '', false, 'evt_' || n, 'charge.succeeded', $1::timestamptz, $1::date, 1, 'parked', 'waits',
       ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, true
  FROM generate_series(1, $2::int) AS n
"""


def unborn(shop: Shop, payment_id: UUID | None = None, number: int = 1) -> Payment:
    """A payment that is not here, or not yet."""
    wished = order(number)
    return Payment(payment_id or shop.ids.new(), wished.order_id, wished.event_id, wished.money, shop.clock.now())


async def appears(shop: Shop, payment: Payment, number: int = 1) -> None:
    """Accept the order under the id that was named before."""
    request = await shop.stripe.request_for(payment.id, order(number))
    wish = Wish(payment.id, order(number), request, livemode=False, owner="test")
    await accept.run(shop.pool, shop.ids, [wish], shop.clock.now())


async def parked(shop: Shop, *events: dict[str, object]) -> None:
    """Keep notices and read them until they are parked."""
    await keep(shop, *events)
    for _ in range(MOST_TRIES):
        await run(shop)
        shop.clock.advance(OWNER_WAIT)


async def claim(shop: Shop, behind: Awaiting | None = None) -> Awaiting | None:
    return await conclude.claim_parked(shop.pool, behind, shop.clock.now())


async def stands(shop: Shop, event_id: str = "evt_1") -> tuple[str, bool, str | None]:
    row = await shop.pool.fetchrow("SELECT state, awaits_payment, reason FROM notices WHERE event_id = $1", event_id)
    assert row is not None
    return row["state"], row["awaits_payment"], row["reason"]


async def counted(shop: Shop) -> Parked:
    async with shop.pool.acquire() as connection:
        return await notices.parked(connection)


async def test_pitfall_05_a_parked_notice_is_claimed_when_its_payment_appears(shop: Shop) -> None:
    """A day later, by the next round: it settles the payment, and is the cause on record."""
    payment = unborn(shop)
    await parked(shop, event("payment_intent.succeeded", intent(payment)))
    assert await stands(shop) == ("parked", True, "names a payment that is not here")
    assert await claim(shop) is None
    assert await stands(shop) == ("parked", True, "names a payment that is not here")

    shop.clock.advance(timedelta(days=1))
    await appears(shop, payment)
    await claim(shop)

    assert await stands(shop) == ("kept", False, None)
    assert await run(shop) == {NoticeState.DONE: 1}
    assert await shop.facts(payment) == [(1, "PaymentRequested", "order"), (2, "PaymentSucceeded", "notice")]


async def test_all_that_was_parked_for_a_payment_is_claimed_and_nothing_else(shop: Shop) -> None:
    """Two of one payment in one statement; what waits for another payment, or for a person, waits on."""
    payment, other, paid = unborn(shop), unborn(shop, number=2), await shop.charge(order(3))
    await parked(
        shop,
        event("payment_intent.processing", intent(payment, "processing"), "evt_1"),
        event("payment_intent.succeeded", intent(payment), "evt_2"),
        event("payment_intent.succeeded", intent(other), "evt_3"),
        event("payment_intent.succeeded", intent(paid, id="pi_impostor"), "evt_4"),
    )
    await appears(shop, payment)

    await claim(shop)

    rows = await shop.pool.fetch("SELECT event_id, state, awaits_payment FROM notices ORDER BY event_id")
    assert [tuple(row.values()) for row in rows] == [
        ("evt_1", "kept", False),
        ("evt_2", "kept", False),
        ("evt_3", "parked", True),
        ("evt_4", "parked", False),
    ]


async def test_many_that_wait_in_vain_are_looked_through_in_turns(shop: Shop) -> None:
    """Another database's on the same account: a round looks at so many, the next goes on there, then begins anew."""
    await shop.pool.execute(WAITING, shop.clock.now(), MOST_LOOKED_THROUGH + 2)
    last = unborn(shop, UUID(f"00000000-0000-7000-8000-{MOST_LOOKED_THROUGH + 1:012}"))
    await appears(shop, last)

    behind = await claim(shop)
    assert behind == Awaiting(UUID(f"00000000-0000-7000-8000-{MOST_LOOKED_THROUGH:012}"), f"evt_{MOST_LOOKED_THROUGH}")
    assert (await counted(shop)).for_payment == MOST_LOOKED_THROUGH + 2

    assert await claim(shop, behind) is None
    assert (await counted(shop)).for_payment == MOST_LOOKED_THROUGH + 1
    assert (await stands(shop, f"evt_{MOST_LOOKED_THROUGH + 1}"))[0] == "kept"


async def test_what_is_parked_is_counted_with_its_age(shop: Shop) -> None:
    """Apart: what waits for its payment, and what waits for a person."""
    assert await counted(shop) == Parked(0, None, 0, None)
    came = shop.clock.now()
    await parked(shop, event("payment_intent.succeeded", intent(unborn(shop)), "evt_1"))
    paid, later = await shop.charge(order(3)), shop.clock.now()
    await parked(shop, event("payment_intent.succeeded", intent(paid, id="pi_impostor"), "evt_2"))
    assert await counted(shop) == Parked(1, came, 1, later)


@pytest.mark.parametrize("paid", [False, True])
async def test_what_was_said_of_a_payment_and_is_kept_no_more_is_asked_for(shop: Shop, *, paid: bool) -> None:
    """Its body expired before its payment appeared: that is asked about, and once paid all that followed too."""
    payment = unborn(shop)
    await parked(shop, event("charge.refunded", {"id": "ch_1", "metadata": {"payment_id": str(payment.id)}}))
    await shop.pool.execute("DELETE FROM notice_bodies")
    await appears(shop, payment)
    if paid:
        await keep(shop, event("payment_intent.succeeded", intent(payment), "evt_2"))
        await run(shop)
    await claim(shop)

    assert await run(shop) == {NoticeState.DONE: 1}

    assert await stands(shop) == ("done", False, "its body has expired: its payment is asked about")
    now = shop.clock.now()
    row = await shop.pool.fetchrow("SELECT next_check_at = $1, refunds_due_at = $1, learn_at = $1 FROM payments", now)
    assert row is not None
    assert [True, paid or None, paid or None] == [value or None for value in row.values()]


async def test_a_delivery_that_comes_again_is_read_again(shop: Shop) -> None:
    """A parked notice that Stripe delivers once more waits for nothing but to be read."""
    payment = unborn(shop)
    said = event("payment_intent.succeeded", intent(payment))
    await parked(shop, said)
    await appears(shop, payment)
    await keep(shop, said)
    assert (await stands(shop))[:2] == ("kept", False)
    assert await run(shop) == {NoticeState.DONE: 1}


async def test_a_payment_of_the_other_mode_is_not_moved(shop: Shop) -> None:
    """A test event that names a live payment, as a database would have it that was used for both: a person looks."""
    payment = await shop.accepted(order())
    await shop.pool.execute("UPDATE payments SET livemode = true")
    await keep(shop, event("payment_intent.succeeded", intent(payment)))
    assert await run(shop) == {NoticeState.PARKED: 1}
    assert await stands(shop) == ("parked", False, "names a payment of the other mode")
    assert await shop.state(payment) == "processing"


async def test_a_payment_of_the_other_mode_claims_nothing(shop: Shop) -> None:
    """What waits for a payment in test mode is none of a live one's under the same id."""
    payment = unborn(shop)
    await parked(shop, event("payment_intent.succeeded", intent(payment)))
    await appears(shop, payment)
    await shop.pool.execute("UPDATE payments SET livemode = true")
    await claim(shop)
    assert await stands(shop) == ("parked", True, "names a payment that is not here")
