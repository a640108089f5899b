"""How a notice is to be read once more: the body of ``POST /notices/{event_id}/replay``."""

from pydantic import BaseModel, ConfigDict


class ReplayWanted(BaseModel):
    """With ``dry_run`` nothing is changed, and what would be is said."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dry_run: bool = False
