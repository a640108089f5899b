"""An order becomes a payment, once."""

from dataclasses import replace

from tests.orders import Shop, order

from counterfoil.domain.errors import IdempotencyKeyReused, InProgress, OrderHasPayment
from counterfoil.domain.money import Money
from counterfoil.domain.schedule import CLAIM
from counterfoil.journey import accept
from counterfoil.journey.accept import Accepted, Repeated, Wish


async def test_a_new_order_is_a_payment_an_attempt_and_a_fact(shop: Shop) -> None:
    """All of it in one transaction, with the request as it will be sent."""
    payment = await shop.accepted(order())
    attempt = await shop.pool.fetchrow("SELECT * FROM attempts")
    assert attempt is not None
    assert (payment.id, 1, "sent", "event-1") == tuple(attempt.values())[:4]
    assert attempt["first_sent_at"] == shop.clock.now()
    assert await shop.facts(payment) == [(1, "PaymentRequested", "order")]
    assert await shop.pool.fetchval("SELECT count(*) FROM outbox") == 1


async def test_without_an_owner_the_attempt_waits_for_a_worker(shop: Shop) -> None:
    """Nothing was sent, so no time of sending is on record, and it is due at once."""
    payment = await shop.accepted(order(), owner=None)
    row = await shop.pool.fetchrow("SELECT state, first_sent_at, claimed_by FROM attempts")
    assert row is not None
    assert tuple(row.values()) == ("queued", None, None)
    assert payment.next_check_at == shop.clock.now()


async def test_the_same_order_again_is_the_same_payment(shop: Shop) -> None:
    """Once answered, a repeat answers by how the payment stands."""
    payment = await shop.charge(order())
    (again,) = await shop.place(order())
    assert isinstance(again, Repeated)
    assert payment == again.payment


async def test_a_repeat_while_the_call_is_under_way_must_wait(shop: Shop) -> None:
    """Nobody knows the outcome yet; after the claim has run out the repeat is answered as unknown."""
    await shop.accepted(order())
    (at_once,) = await shop.place(order())
    shop.clock.advance(CLAIM)
    (later,) = await shop.place(order())
    assert isinstance(at_once, InProgress)
    assert isinstance(later, Repeated)


async def test_the_event_with_another_meaning_is_refused(shop: Shop) -> None:
    """A key that was spent on other contents is a mistake of the caller's."""
    await shop.charge(order())
    for changed in (
        order(money=Money(2000, "EUR")),
        order(money=Money(1999, "USD")),
        order(order_id="order-2"),
        order(method="pm_card_mastercard"),
        order(customer_id="cus_1"),
    ):
        (answer,) = await shop.place(changed)
        assert isinstance(answer, IdempotencyKeyReused), changed


async def test_what_is_not_part_of_the_meaning_may_change(shop: Shop) -> None:
    """Metadata, items and addresses do not make another payment."""
    await shop.charge(order())
    (answer,) = await shop.place(order(metadata={"colour": "red"}, customer_email="a@example.com", locale="de"))
    assert isinstance(answer, Repeated)


async def test_an_order_with_a_live_payment_takes_no_second(shop: Shop) -> None:
    """Another event for the same order is refused, and told which payment there is."""
    payment = await shop.charge(order())
    (answer,) = await shop.place(replace(order(2), order_id="order-1"))
    assert isinstance(answer, OrderHasPayment)
    assert str(payment.id) == answer.payment_id


async def test_after_a_failure_the_order_may_be_paid_anew(shop: Shop) -> None:
    """A declined card ends the payment, not the order."""
    await shop.charge(order(method="pm_card_chargeDeclined"))
    (answer,) = await shop.place(replace(order(2), order_id="order-1"))
    assert isinstance(answer, Accepted)


async def test_a_batch_answers_each_order_by_itself(shop: Shop) -> None:
    """New ones, a repeat, a reused key, an order taken, the same event twice in one batch: each gets its own answer."""
    await shop.charge(order(1))
    answers = await shop.place(
        order(2),
        order(1),
        order(1, money=Money(5, "EUR")),
        replace(order(3), order_id="order-1"),
        order(4),
        order(4),
    )
    expected = [Accepted, Repeated, IdempotencyKeyReused, OrderHasPayment, Accepted, InProgress]
    assert expected == [type(answer) for answer in answers]
    assert await shop.pool.fetchval("SELECT count(*) FROM payments") == 3


async def test_a_batch_is_one_transaction(shop: Shop) -> None:
    """Set-wise from the first line: a hundred orders cost one commit."""
    orders = [order(number) for number in range(100)]
    assert {Accepted} == {type(answer) for answer in await shop.place(*orders)}
    stamps = await shop.pool.fetchval("SELECT count(DISTINCT xmin::text) FROM payments")
    assert stamps == 1


async def test_an_order_keeps_what_it_came_with(shop: Shop) -> None:
    """Everything the caller said is on record, so that receipts and stock can be worked from it."""
    await shop.accepted(order(customer_email="a@example.com", metadata={"colour": "red"}, locale="de-AT"))
    row = await shop.pool.fetchrow("SELECT customer_email, metadata, locale, currency, amount, livemode FROM payments")
    assert row is not None
    assert tuple(row.values()) == ("a@example.com", '{"colour": "red"}', "de-AT", "EUR", 1999, False)


async def test_a_payment_id_belongs_to_one_event(shop: Shop) -> None:
    """Named by its sender for a second event, it is refused, and nothing of that is kept."""
    payment = await shop.charge(order(1))
    request = await shop.stripe.request_for(payment.id, order(2))
    wish = Wish(payment.id, order(2), request, livemode=False, owner="test")
    (answer,) = await accept.run(shop.pool, shop.ids, [wish], shop.clock.now())
    assert isinstance(answer, IdempotencyKeyReused)
    assert await shop.pool.fetchval("SELECT count(*) FROM payments") == 1
