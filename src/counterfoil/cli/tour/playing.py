"""The chapters of the tour, one after another: settings, then scenes, each told as it happens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from counterfoil.cli import terminal
from counterfoil.cli.exits import CommandFailed
from counterfoil.cli.installation import Installation
from counterfoil.cli.steps import Between
from counterfoil.cli.story import Taken
from counterfoil.cli.tour import aftermath, by_charges, holds, orders, refunds, screening
from counterfoil.cli.tour.stage import Scene, Stage
from counterfoil.config import Role


@dataclass(frozen=True, slots=True)
class Chapter:
    """Scenes of one kind; before them the roles that read its settings are started anew with those."""

    title: str
    scenes: Sequence[Scene]
    settings: Mapping[str, str] = field(default_factory=dict)
    roles: Sequence[Role] = ()


@dataclass(frozen=True, slots=True)
class Played:
    """A scene that was played: its number, the payments it came to, and why it is not as it was meant to be, if so."""

    number: int
    chapter: str
    scene: Scene
    taken: Sequence[Taken]
    why: str | None


CHAPTERS: Final = (
    Chapter("Money that is held", holds.SCENES),
    Chapter("Orders", orders.SCENES),
    Chapter("Another try", orders.RETRIES),
    Chapter("Money that goes back", refunds.SCENES),
    Chapter("What comes afterwards", aftermath.SCENES),
    Chapter(
        "Fraud screening before the charge",
        screening.BEFORE_CHARGE,
        {"FRAUD_SCREENING": "before_charge"},
        (Role.GATEWAY,),
    ),
    Chapter(
        "Fraud screening before the capture",
        screening.BEFORE_CAPTURE,
        {"FRAUD_SCREENING": "before_capture"},
        (Role.GATEWAY,),
    ),
    Chapter(
        "Stripe's older API",
        by_charges.SCENES,
        {"FRAUD_SCREENING": "none", "STRIPE_DRIVER": "charges", "DEFAULT_PAYMENT_METHOD": by_charges.CARD},
        (Role.GATEWAY, Role.WORKER),
    ),
)


async def played(here: Installation, stage: Stage) -> list[Played]:
    """Play all chapters, telling each; return what became of each scene."""
    found: list[Played] = []
    for number, chapter in enumerate(CHAPTERS, start=1):
        _head(number, chapter.title)
        if chapter.roles:
            said = "  ".join(f"{name}={value}" for name, value in chapter.settings.items())
            terminal.console().print(f"  Starting {', '.join(chapter.roles)} anew with {said} …\n", style="dim")
            await here.set_anew(chapter.roles, chapter.settings)
        for scene in chapter.scenes:
            stage.taken = []
            stage.story.begin(f"{len(found) + 1}  {scene.title}", scene.money)
            why = await _astray(stage, scene)
            found.append(Played(len(found) + 1, chapter.title, scene, tuple(stage.taken), why))
            stage.story.end()
    return found


async def _astray(stage: Stage, scene: Scene) -> str | None:
    """Play a scene and return why it is not as it was meant to be, None where it is."""
    try:
        await scene.play(stage, scene)
    except CommandFailed as failed:
        stage.story.tell(Between.TOUR_TO_YOU, f"this is not as it was meant: {failed}")
        return str(failed)
    return None


def _head(number: int, title: str) -> None:
    from rich.text import Text

    terminal.console().print(Text(f"Chapter {number}: {title}\n", "bold underline"))
