"""RefundPayment 0.0.1, on ``payments.commands``: money of a payment is to be given back."""

from uuid import UUID

from pydantic import ConfigDict
from pydantic.alias_generators import to_camel

from counterfoil.domain.refunding import Wish
from counterfoil.messages.field_types import ExternalId
from counterfoil.messages.refund_wanted import RefundWanted


class RefundPayment(RefundWanted):
    """Money is to be given back under the key of whoever asks. ``amount`` is in minor units; without it, the rest."""

    model_config = ConfigDict(alias_generator=to_camel)

    payment_id: UUID
    idempotency_key: ExternalId

    def asked(self) -> Wish:
        """Return the wish that this tells of."""
        return self.wish(self.payment_id, self.idempotency_key)
