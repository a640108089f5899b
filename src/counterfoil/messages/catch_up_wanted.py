"""How far back events are to be caught up with: the body of ``POST /catch-up``."""

from pydantic import AwareDatetime, BaseModel, ConfigDict


class CatchUpWanted(BaseModel):
    """Since when; left out, since the last run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    since: AwareDatetime | None = None
