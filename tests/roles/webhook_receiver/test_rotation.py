"""A signing secret is replaced while the receiver runs: nothing Stripe signs is refused, and the old one ends."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import httpx
from tests.deliveries import encoded, event, signature
from tests.stage import Running, Stage, becomes
from tests.told import Clock

from counterfoil.config import SigningSecret
from counterfoil.domain.errors import Misconfigured
from counterfoil.roles.webhook_receiver.signing import AGAIN_SECONDS, Signing
from counterfoil.runtime.metrics import ALARMS
from counterfoil.runtime.secret import Secret

OLD, NEW = "whsec_old_0123456789abcdef", "whsec_new_0123456789abcdef"


@dataclass(slots=True)
class Rotated:
    """A receiver whose signing secrets stand in a file."""

    running: Running
    http: httpx.AsyncClient
    file: Path
    count: int = 0

    async def answers(self, *secrets: str) -> list[int]:
        """Return what deliveries are answered that are signed with these secrets, each another event."""
        codes = []
        for secret in secrets:
            self.count += 1
            body = encoded(event(f"rotated_{self.count}"))
            headers = {"Stripe-Signature": signature(body, secret=secret)}
            answer = await self.http.post(f"{self.running.url}/webhooks/stripe", content=body, headers=headers)
            codes.append(answer.status_code)
        return codes

    async def metric(self, name: str) -> float:
        """Return a figure of the receiver's."""
        text = (await self.http.get(f"{self.running.url}/metrics")).text
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0.0


async def test_pitfall_17_a_secret_is_replaced_without_a_restart(
    stage: Stage, http: httpx.AsyncClient, tmp_path: Path
) -> None:
    """Both are taken while both are there, each counted by its place; a spoilt file changes nothing but an alarm."""
    file, database = tmp_path / "signing", tmp_path / "database"
    for path, text in ((file, OLD), (database, stage.database_url)):
        path.write_text(f"{text}\n")
        path.chmod(0o600)
    settings = {"SECRETS_SOURCE": "file", "STRIPE_WEBHOOK_SECRETS": str(file), "DATABASE_URL": str(database)}
    here = Rotated(stage.start("webhook-receiver", **settings), http, file)
    assert await here.answers(OLD, NEW) == [200, 401]

    file.write_text(f"{NEW},{OLD}\n")
    await becomes([200], lambda: here.answers(NEW))
    assert await here.answers(OLD) == [200]
    counts = [await here.metric(f'counterfoil_signatures_total{{place="{place}"}}') for place in (1, 2)]
    assert counts == [2.0, 1.0]

    for spoilt in ("", "garbled"):
        before = await here.metric('counterfoil_alarms_total{where="secrets"}')
        file.write_text(spoilt)
        await becomes(before + 1, lambda: here.metric('counterfoil_alarms_total{where="secrets"}'))
        assert await here.answers(NEW, OLD) == [200, 200]

    file.write_text(NEW)
    await becomes([401], lambda: here.answers(OLD))
    assert await here.answers(NEW) == [200]
    assert [secret for secret in (OLD, NEW, str(file)) if secret in here.running.log()] == []


def alarms() -> float:
    count: float = ALARMS.labels("secrets")._value.get()
    return count


async def told(clock: Clock, moment: datetime) -> str:
    return "later" if clock.now() >= moment else "earlier"


async def test_a_secret_ends_by_itself(clock: Clock) -> None:
    """Once its end has passed it is not tried any more; the places of the others stay what they are."""
    end = clock.now() + timedelta(hours=24)
    signing = Signing((SigningSecret(Secret(OLD), end), SigningSecret(Secret(NEW))), clock)
    both = signing.good()
    clock.advance(timedelta(hours=24, seconds=1))
    assert (both, signing.good()) == ({1: OLD.encode(), 2: NEW.encode()}, {2: NEW.encode()})


async def test_the_last_good_secrets_stay_and_each_fault_is_told_once(clock: Clock) -> None:
    """However often the file is read while it is spoilt; and again once it was whole in between."""
    whole, spoilt = (SigningSecret(Secret(NEW)),), Misconfigured("STRIPE_WEBHOOK_SECRETS", "is spoilt")
    coming: list[Sequence[SigningSecret] | Misconfigured] = [spoilt, spoilt, whole, spoilt]
    read: list[str] = []

    def next_one() -> Sequence[SigningSecret]:
        found = coming.pop(0) if coming else whole
        read.append(str(found))
        if isinstance(found, Misconfigured):
            raise found
        return found

    signing = Signing((SigningSecret(Secret(OLD)),), clock)
    before, until = alarms(), clock.now() + timedelta(seconds=AGAIN_SECONDS * 6)
    async with signing.followed(next_one):
        await becomes("later", lambda: told(clock, until))
    assert (signing.good(), len(read) >= 5) == ({1: NEW.encode()}, True)
    assert alarms() - before == 2
