"""What is asked of both books: the bodies of ``POST /reconciliations`` and of an acknowledgement."""

from datetime import datetime
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, StringConstraints

from counterfoil.domain.comparing import USUAL_TIME
from counterfoil.domain.errors import InvalidRequest


class ReconciliationWanted(BaseModel):
    """Since when both books are to be compared; without it, of the last three days."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    since: AwareDatetime | None = None

    def begin(self, now: datetime, restored_since: datetime | None) -> datetime:
        """Return since when; without a wish, at least from where a restored database has to catch up, if one does.

        Raises:
            InvalidRequest: that is still ahead.
        """
        usual = now - USUAL_TIME
        since = self.since or min(usual, restored_since or usual)
        if since >= now:
            raise InvalidRequest("since", "must be in the past")
        return since


class Acknowledgement(BaseModel):
    """What a person did about a difference."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    note: Annotated[str, StringConstraints(min_length=1, max_length=500)]
