"""What `counterfoil up` leaves of its sandbox's settings, so that a command in another window can ask there."""

import dataclasses
import json
from pathlib import Path
from typing import Final

from counterfoil.cli.exits import CommandFailed
from counterfoil.config import Settings, SigningSecret
from counterfoil.runtime.secret import Secret

FILE: Final = "sandbox.json"
"""In COUNTERFOIL_HOME, readable by its owner only. Nothing in it opens anything but this machine's sandbox."""


def leave(home: Path, *, key: Secret, api_base: str, webhook_secret: Secret) -> None:
    """Leave the sandbox's address, key and signing secret."""
    remove(home)
    (home / FILE).touch(mode=0o600, exist_ok=False)
    left = {"key": key.reveal(), "api_base": api_base, "webhook_secret": webhook_secret.reveal()}
    (home / FILE).write_text(json.dumps(left), "utf-8")


def remove(home: Path) -> None:
    """Take away what an earlier `up` left: Stripe itself is asked with settings that a person has made."""
    (home / FILE).unlink(missing_ok=True)


def completed(settings: Settings) -> Settings:
    """Return the settings, and where they name no key of Stripe's, those of the sandbox that `up` has left.

    Raises CommandFailed if the file is damaged.
    """
    path = settings.counterfoil_home / FILE
    if settings.stripe_key is not None:
        return settings
    try:
        left = json.loads(path.read_bytes())
        return dataclasses.replace(
            settings,
            stripe_key=Secret(left["key"]),
            stripe_api_base=left["api_base"],
            stripe_webhook_secrets=(SigningSecret(Secret(left["webhook_secret"])),),
        )
    except FileNotFoundError:
        return settings
    except (OSError, ValueError, LookupError, TypeError):
        raise CommandFailed(f"{path} cannot be read: remove it, or run `counterfoil up` again") from None
