"""What a person decides on a payment under review: the body of ``POST /payments/{id}/review``."""

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, StringConstraints

from counterfoil.domain.payment import FraudDecision
from counterfoil.domain.screening import Check, Finding
from counterfoil.domain.verdict import Cause, Source


class ReviewDecision(BaseModel):
    """The payment may have its money, or not, and why."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    decision: FraudDecision
    note: Annotated[str, StringConstraints(max_length=500)] | None = None

    def check(self, payment_id: UUID, person: str) -> Check:
        """Return it as what was found of the payment, by whoever came with that token."""
        return Check(payment_id, Finding(self.decision), Cause(Source.REVIEW, person), note=self.note)
