"""How much of a hold is to be taken: the body of ``POST /payments/{id}/capture``."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from counterfoil.domain.money import LARGEST_AMOUNT


class CapturePayment(BaseModel):
    """``amount`` is in the currency's minor units; without it all that is held is taken."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    amount: Annotated[int, Field(ge=1, le=LARGEST_AMOUNT)] | None = None
