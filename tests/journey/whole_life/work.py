"""The steps as a worker takes them: claimed, called, recorded, each by itself, so that anything may come in between."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tests.orders import Shop, claimant

from counterfoil.domain.errors import Unavailable
from counterfoil.journey import authorize, capture, fulfil, learn, operating, reconcile, recount, refund, retry, void

CLAIMANT: Final = claimant()


@dataclass(frozen=True, slots=True)
class Work:
    """One of the things that a worker does: ``claim`` what is due, ``call`` for one of it, ``record`` what was heard.

    What is heard is None where there is nothing to record.
    """

    claim: Callable[[Shop], Awaitable[Sequence[Any]]]
    call: Callable[[Shop, Any], Awaitable[Any]]
    record: Callable[[Shop, Any], Awaitable[Any]]


async def _claim_sends(shop: Shop) -> Sequence[Any]:
    return await authorize.claim_due(shop.pool, shop.ids, CLAIMANT, shop.clock.now())


async def _send(shop: Shop, sending: Any) -> Any:
    return await authorize.call(shop.stripe, sending, shop.clock)


async def _sent(shop: Shop, heard: Any) -> None:
    await authorize.record(shop.pool, shop.ids, [heard], shop.clock.now())


async def _claim_questions(shop: Shop) -> Sequence[Any]:
    return await reconcile.claim_due(shop.pool, CLAIMANT, shop.clock.now())


async def _ask(shop: Shop, trace: Any) -> Any:
    return await reconcile.ask(shop.stripe, trace)


async def _asked(shop: Shop, heard: Any) -> None:
    await reconcile.record(shop.pool, shop.ids, [heard], shop.clock.now())


async def _claim_captures(shop: Shop) -> Sequence[Any]:
    return await capture.claim_due(shop.pool, shop.ids, shop.stripe.capture, CLAIMANT, shop.clock.now())


async def _operate(shop: Shop, claimed: Any) -> Any:
    return await operating.call(shop.stripe, claimed, shop.clock)


async def _captured(shop: Shop, heard: Any) -> None:
    await capture.record(shop.pool, shop.ids, [heard], shop.clock.now())


async def _claim_lettings(shop: Shop) -> Sequence[Any]:
    return await void.claim_due(shop.pool, shop.ids, shop.stripe.cancellation, CLAIMANT, shop.clock.now())


async def _let_gone(shop: Shop, heard: Any) -> None:
    await void.record(shop.pool, shop.ids, [heard], shop.clock.now())


async def _claim_refunds(shop: Shop) -> Sequence[Any]:
    return await refund.claim_due(shop.pool, shop.stripe.refund, CLAIMANT, shop.clock.now())


async def _refund(shop: Shop, sending: Any) -> Any:
    return await refund.call(shop.stripe, sending, shop.clock)


async def _refunded(shop: Shop, heard: Any) -> None:
    await refund.record(shop.pool, shop.ids, [heard], shop.clock.now())


async def _claim_looks(shop: Shop) -> Sequence[Any]:
    return await recount.claim_due(shop.pool, CLAIMANT, shop.clock.now())


async def _look(shop: Shop, trace: Any) -> Any:
    return await recount.look(shop.stripe, trace)


async def _looked(shop: Shop, seen: Any) -> None:
    await recount.record(shop.pool, shop.ids, [seen], shop.clock.now())


async def _claim_retries(shop: Shop) -> Sequence[Any]:
    return await retry.take_due(shop.pool, CLAIMANT, shop.clock.now())


async def _prepare(shop: Shop, due: Any) -> Any:
    try:
        return await retry.prepare(shop.stripe, due)
    except Unavailable:
        return None


async def _prepared(shop: Shop, prepared: Any) -> None:
    await retry.record(shop.pool, shop.ids, [prepared], shop.clock.now())


async def _claim_lessons(shop: Shop) -> Sequence[Any]:
    return await learn.claim_due(shop.pool, CLAIMANT, shop.clock.now())


async def _learn(shop: Shop, due: Any) -> Any:
    return await learn.call(shop.stripe, due)


async def _learned(shop: Shop, heard: Any) -> None:
    await learn.record(shop.pool, shop.ids, [heard], shop.clock.now())


async def _claim_letters(shop: Shop) -> Sequence[Any]:
    return await fulfil.claim_due(shop.pool, CLAIMANT.name, shop.clock.now())


async def _tell(shop: Shop, errand: Any) -> Any:
    return await fulfil.call(None, errand, shop.clock)


async def _told(shop: Shop, tried: Any) -> None:
    await fulfil.record(shop.pool, shop.ids, [tried], shop.clock.now())


SEND: Final = Work(_claim_sends, _send, _sent)
ASK: Final = Work(_claim_questions, _ask, _asked)
CAPTURE: Final = Work(_claim_captures, _operate, _captured)
LET_GO: Final = Work(_claim_lettings, _operate, _let_gone)
REFUND: Final = Work(_claim_refunds, _refund, _refunded)
LOOK: Final = Work(_claim_looks, _look, _looked)
RETRY: Final = Work(_claim_retries, _prepare, _prepared)
LEARN: Final = Work(_claim_lessons, _learn, _learned)
TELL: Final = Work(_claim_letters, _tell, _told)

ALL: Final = (SEND, ASK, CAPTURE, LET_GO, REFUND, LOOK, RETRY, LEARN, TELL)
