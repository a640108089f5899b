"""An order off its topic is brought to the gateway, and what the answer means for its message."""

from typing import Final

from counterfoil.bus.message import Again, Dead, Done, Outcome, Outgoing
from counterfoil.messages import heard as reading
from counterfoil.messages.cloud_event import refusal_headers
from counterfoil.messages.order_refused import OrderRefused
from counterfoil.messages.topics import TOPIC_OF
from counterfoil.roles.dispatcher.gateway import NO_ANSWER, Answer, Gateway
from counterfoil.roles.hearing import Heard
from counterfoil.roles.problems import Kind
from counterfoil.runtime.alarms import alarm
from counterfoil.runtime.clock import Clock
from counterfoil.runtime.metrics import DISPATCHER_REFUSED, DISPATCHES

_TOO_MANY: Final = 429

_IN_HAND: Final = 409
"""A gateway that was killed leaves what it had in hand so for two minutes: the order is safe, and others go on."""

ENDED: Final = frozenset({200, 202, 402})
"""The gateway has the payment: what becomes of it, its facts tell."""

REFUSED: Final = frozenset({400, 413, 415, 422})
"""The order will never have a payment, as it is."""

OURS_TO_MEND: Final = frozenset({401, 403, 404, 405, *range(300, 400)})
"""The gateway does not take what we bring, by our token or our address: no order is to suffer for that."""

PAID_ELSEWHERE: Final = frozenset({Kind.IDEMPOTENCY_KEY_REUSED.value[0], Kind.ORDER_HAS_PAYMENT.value[0]})
"""Refusals of a message, and not of its order: that has a payment, and nobody may be told that it has none."""


class Dispatching:
    """Brings orders to the gateway."""

    def __init__(self, gateway: Gateway, clock: Clock) -> None:
        self._gateway, self._clock = gateway, clock
        self._refused = False

    async def bring(self, heard: Heard, tries: int) -> Outcome:
        """Bring an order there; one that failed before goes only to a gateway that is ready."""
        if tries and not await self._gateway.is_ready():
            return Again("the gateway is not ready", counted=False)
        answer = await self._gateway.charge(heard.value, heard.traceparent)
        DISPATCHES.labels(str(answer.status) if answer.status != NO_ANSWER else "none").inc()
        self._note(answer)
        if answer.status in ENDED or (answer.status == _TOO_MANY and answer.has_payment):
            return Done()
        if answer.status in REFUSED:
            return self._dead(heard, answer)
        # What fails though all is well may be the order's own fault; an outage, a wrong token or a crowd is not.
        innocent = answer.status in OURS_TO_MEND | {_IN_HAND, _TOO_MANY}
        why = f"answered {answer.status}" if answer.status != NO_ANSWER else answer.detail
        return Again(
            why,
            counted=not innocent and await self._gateway.is_ready(),
            after_seconds=answer.retry_after_seconds,
            holds=answer.status != _IN_HAND,
        )

    def _note(self, answer: Answer) -> None:
        """Call a person once the gateway does not take what we bring, and not again before it has."""
        if answer.status in OURS_TO_MEND:
            if not self._refused:
                alarm("dispatcher", "refused", status=answer.status)
            self._refused = True
        elif answer.status in ENDED | REFUSED:
            self._refused = False
        DISPATCHER_REFUSED.set(self._refused)

    def _dead(self, heard: Heard, answer: Answer) -> Dead:
        reason = answer.kind or f"status-{answer.status}"
        error = answer.detail or f"the gateway answered {answer.status}"
        order_id = reading.order_id(heard.body)
        if order_id is None or answer.kind in PAID_ELSEWHERE:
            return Dead(reason, error)
        return Dead(reason, error, (self._refusal(heard, order_id, reason),))

    def _refusal(self, heard: Heard, order_id: str, reason: str) -> Outgoing:
        now = self._clock.now()
        event_id = reading.event_id(heard.body) or heard.id
        said = OrderRefused(event_id=event_id, order_id=order_id, reason=reason, refused_at=now)
        value = said.model_dump_json(by_alias=True).encode()
        headers = refusal_headers(heard.id, order_id, now, heard.traceparent)
        return Outgoing(TOPIC_OF[OrderRefused.__name__], order_id.encode(), value, headers)
