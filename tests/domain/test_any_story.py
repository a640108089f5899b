"""Any story that the processor may tell of a payment ends the same, in whatever order it is heard, and however often.

`test_orders_of_events` tells some stories in every order; here any story is told in some. What may differ is what may
differ there.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.domain.test_orders_of_events import NOW, News, Told, news, sent

from counterfoil.domain.cancelling import Cancellation, CancelReason, cancel
from counterfoil.domain.disputing import Docket
from counterfoil.domain.money import Money
from counterfoil.domain.payment import Advance, CaptureMethod, Dispute, DisputeStatus, Funds, Payment
from counterfoil.domain.states import FINAL, AttemptHappening
from counterfoil.domain.verdict import Cause, Source

_H, _S = AttemptHappening, Source

REFUND_ID: Final = UUID(int=1)

COURSES: Final = (
    (_H.CAPTURED,),
    (_H.DECLINED,),
    (_H.ACTION, _H.CAPTURED),
    (_H.ACTION, _H.PROCESSING, _H.CAPTURED),
    (_H.ACTION, _H.DECLINED),
    (_H.ACTION, _H.CANCELED),
    (_H.PROCESSING, _H.CAPTURED),
    (_H.PROCESSING, _H.DECLINED),
    (_H.AUTHORIZED, _H.CAPTURED),
    (_H.AUTHORIZED, _H.CANCELED),
    (_H.ACTION, _H.AUTHORIZED, _H.CAPTURED),
    (_H.DECLINED, _H.CAPTURED),
)
"""What may come of an attempt, step by step."""


class OrderCancelled:
    """The order is not wanted any more."""


Happening = News | Dispute | OrderCancelled


@dataclass(frozen=True, slots=True)
class Ending:
    """A payment after a story, without what the order of its news may change, and its disputes."""

    payment: Payment
    disputes: tuple[Dispute, ...]


@dataclass(slots=True)
class Listener:
    """Hears a story, piece by piece."""

    told: Told
    docket: Docket = field(default_factory=lambda: Docket({}))

    def hear(self, one: Happening) -> None:
        """Hear one piece; facts bear the next numbers, and no more goes back than came in."""
        payment = self.told.payment
        if isinstance(one, News):
            self.told = self.told.after(one)
        elif isinstance(one, Dispute):
            self._take(self.docket.hear(payment, one, Cause(_S.NOTICE, "reference"), NOW))
        else:
            self._take(cancel(payment, Cancellation("order-1", CancelReason.OUT_OF_STOCK), REFUND_ID, NOW))
        after = self.told.payment
        assert 0 <= after.amount_refunded + after.amount_refund_reserved <= after.amount_captured
        assert after.next_check_at is not None or after.state in FINAL

    def _take(self, advance: Advance) -> None:
        said = tuple(fact.name for fact in advance.facts)
        assert advance.payment.version == self.told.payment.version + len(said)
        self.told = Told(advance.payment, self.told.said + said)

    def ending(self) -> Ending:
        """Return how it ended."""
        return Ending(self.told.end(), tuple(dispute for _, dispute in self.docket.changed))


def dispute(status: DisputeStatus) -> Dispute:
    funds = Funds.REINSTATED if status is DisputeStatus.WON else Funds.WITHDRAWN
    return Dispute("dp_1", status, Money(1999, "EUR"), "ch_1", NOW, funds=funds)


@st.composite
def stories(draw: Any) -> tuple[Happening, ...]:
    """What is heard of one payment: each step from some of those who may tell it; perhaps a dispute, or a cancellation.

    Only a dispute that is won is told beside a cancellation: whether money goes back while a bank has it depends,
    rightly, on which of the two is heard of first.
    """
    steps: list[Happening] = []
    course = draw(st.sampled_from(COURSES))
    for step in course:
        charge = None if step in (_H.ACTION, _H.CANCELED) else "ch_1"
        sources = draw(st.lists(st.sampled_from([_S.ANSWER, _S.NOTICE, _S.LOOK_UP]), min_size=1, max_size=3))
        steps += [news(step, source, charge) for source in sources]
    steps += [news(_H.UNKNOWN, _S.ANSWER)] * draw(st.integers(0, 1))
    cancelled = draw(st.booleans())
    if course[-1] is _H.CAPTURED and draw(st.booleans()):
        ends = [DisputeStatus.WON] if cancelled else [*DisputeStatus]
        steps += [dispute(DisputeStatus.OPENED), dispute(draw(st.sampled_from(ends)))]
    return (*steps, OrderCancelled()) if cancelled else tuple(steps)


@given(story=stories(), method=st.sampled_from(CaptureMethod), drawn=st.data())
@settings(max_examples=1500, deadline=None, derandomize=True)
def test_any_story_ends_the_same_in_any_order(
    story: Sequence[Happening], method: CaptureMethod, drawn: st.DataObject
) -> None:
    """As it happened, and shuffled with some of it told twice: one end, the same money taken and on its way back."""
    doubled = drawn.draw(st.lists(st.sampled_from(story), max_size=3))
    shuffled = drawn.draw(st.permutations([*story, *doubled]))
    in_order, in_disorder = Listener(Told(sent(method), ())), Listener(Told(sent(method), ()))

    for one in story:
        in_order.hear(one)
    for one in shuffled:
        in_disorder.hear(one)

    assert in_order.ending() == in_disorder.ending()
