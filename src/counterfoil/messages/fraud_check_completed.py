"""FraudCheckCompleted 0.0.1, on ``fraud.checks``; in snake_case the body of ``POST /fraud-checks``."""

from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from counterfoil.domain import screening as domain
from counterfoil.domain.screening import Check, Finding, Grounds, Screening
from counterfoil.domain.verdict import Cause, Source
from counterfoil.messages.field_types import ExternalId
from counterfoil.messages.naming import TWO_NAMES

UNNAMED = "unnamed"
"""The cause of what a check without a transaction id brings about."""

_Text = Annotated[str, StringConstraints(max_length=500)]
_Number = Annotated[float, Field(allow_inf_nan=False)]


class Signal(BaseModel):
    """One thing that a check looked at, and how much it counted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: _Text
    weight: _Number


class FraudCheckCompleted(BaseModel):
    """A payment was checked. Its decision, risk score, id and grounds are kept; the rest is the checker's own."""

    model_config = TWO_NAMES

    payment_id: UUID
    decision: Finding
    transaction_id: ExternalId | None = None
    risk_score: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] | None = None
    reasons: Annotated[tuple[_Text, ...], Field(max_length=100)] = ()
    signals: Annotated[tuple[Signal, ...], Field(max_length=100)] = ()
    confidence: _Number | None = None
    metadata: dict[_Text, _Text | bool | int | float | None] = {}
    timestamp: AwareDatetime | None = None

    def check(self, screening: Screening) -> Check:
        """Return what it means for the payment, under these rules."""
        finding = screening.finding(self.decision, self.risk_score)
        cause = Cause(Source.FRAUD_CHECK, self.transaction_id or UNNAMED)
        return Check(self.payment_id, finding, cause, self.risk_score, grounds=self._grounds())

    def _grounds(self) -> Grounds | None:
        weighed = tuple(domain.Signal(one.name, one.weight) for one in self.signals)
        grounds = Grounds(self.reasons, weighed, self.confidence)
        return grounds if grounds != Grounds() else None
