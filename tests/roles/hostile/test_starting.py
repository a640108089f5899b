"""Settings that must not start anything (group G of the vectors), given to real processes."""

import json
import socket
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from tests.relay import relayed
from tests.stage import KEY, SECRET, Stage, becomes, ready

LIVE_KEY = "sk_live_51NotARealKey"
CLEAR = "postgresql://app:hunter2@db.example/payments?sslmode=disable"


@dataclass(frozen=True, slots=True)
class Misfit:
    """Settings that a role must refuse, and how the one line begins that says so."""

    id: str
    role: str
    line: str
    settings: dict[str, str] = field(default_factory=dict)


MISFITS = [
    Misfit("G01", "gateway", "STRIPE_KEY is missing: ", {"STRIPE_KEY": ""}),
    Misfit("G01", "worker", "STRIPE_KEY is missing: ", {"STRIPE_KEY": "", "STRIPE_API_KEY": ""}),
    Misfit("G01", "gateway", "STRIPE_KEY holds a space, a line break ", {"STRIPE_KEY": f"{KEY}\n"}),
    Misfit("G02", "gateway", "STRIPE_KEY is a live key, and MODE is test", {"STRIPE_KEY": LIVE_KEY}),
    Misfit("G02", "worker", "STRIPE_KEY is a test key, and MODE is live", {"MODE": "live"}),
    Misfit("G05", "webhook-receiver", "STRIPE_WEBHOOK_SECRETS is missing: ", {"STRIPE_WEBHOOK_SECRETS": ""}),
    Misfit("G05", "webhook-receiver", "STRIPE_WEBHOOK_SECRETS must be whsec_", {"STRIPE_WEBHOOK_SECRETS": "whsec_"}),
    Misfit("G05", "webhook-receiver", "STRIPE_WEBHOOK_SECRETS must be whsec_", {"STRIPE_WEBHOOK_SECRETS": KEY}),
    Misfit(
        "G06",
        "webhook-receiver",
        "STRIPE_WEBHOOK_SECRETS holds 4 secrets: at most 3",
        {"STRIPE_WEBHOOK_SECRETS": ",".join(f"{SECRET}{number}" for number in range(4))},
    ),
    Misfit("G08", "webhook-receiver", "DATABASE_URL has sslmode=disable", {"MODE": "live", "DATABASE_URL": CLEAR}),
    Misfit(
        "G08",
        "gateway",
        "DATABASE_URL has sslmode=disable",
        {"MODE": "live", "DATABASE_URL": CLEAR, "STRIPE_KEY": LIVE_KEY},
    ),
    Misfit("G13", "outbox-publisher", "COUNTERFOIL_HOEM is not a setting: did ", {"COUNTERFOIL_HOEM": "elsewhere"}),
]


@pytest.mark.parametrize("misfit", MISFITS, ids=[f"{misfit.id}-{misfit.role}" for misfit in MISFITS])
def test_what_does_not_fit_starts_nothing(shared_stage: Stage, misfit: Misfit) -> None:
    """The process exits 78 with one line that names the setting, and not its value."""
    running = shared_stage.launch(misfit.role, **misfit.settings)

    assert running.ended(60) == 78

    (line,) = running.log().splitlines()
    assert line.startswith(f"counterfoil: {misfit.line}")
    secrets = [value.strip() for name, value in misfit.settings.items() if name not in ("MODE", "COUNTERFOIL_HOME")]
    assert [value for value in secrets if len(value) > len("whsec_") and value in line] == []
    assert "hunter2" not in line


def test_g06_three_signing_secrets_are_a_rotation(shared_stage: Stage) -> None:
    """Old, current and next secret start a receiver."""
    three = ",".join(f"{SECRET}{number}" for number in range(3))
    assert ready(shared_stage.start("webhook-receiver", STRIPE_WEBHOOK_SECRETS=three))[0] == 200


def test_g17_a_secret_file_that_everybody_may_read_is_told_and_in_live_mode_refused(
    shared_stage: Stage, tmp_path: Path
) -> None:
    """To try things out the receiver starts, and says so; where money moves it exits 78, naming the setting."""
    signing, database, encrypted = (tmp_path / name for name in ("signing", "database", "encrypted"))
    urls = {database: shared_stage.database_url, encrypted: "postgresql://app@db.example/payments?sslmode=require"}
    for path, text in {signing: SECRET, **urls}.items():
        path.write_text(text)
        path.chmod(0o644 if path == signing else 0o600)
    settings = {"SECRETS_SOURCE": "file", "STRIPE_WEBHOOK_SECRETS": str(signing)}

    trying = shared_stage.start("webhook-receiver", DATABASE_URL=str(database), **settings)
    live = shared_stage.launch("webhook-receiver", DATABASE_URL=str(encrypted), MODE="live", **settings)

    words = "names a file that everybody on this machine may read"
    warned = [line for line in map(json.loads, trying.log().splitlines()) if line["event"] == "settings.warning"]
    assert [(one["level"], one["setting"], one["why"]) for one in warned] == [
        ("warning", "STRIPE_WEBHOOK_SECRETS", words)
    ]
    assert live.ended(60) == 78
    assert live.log() == f"counterfoil: STRIPE_WEBHOOK_SECRETS {words}, and MODE is live\n"


async def test_g09_a_store_that_is_out_of_reach_is_waited_for(shared_stage: Stage, http: httpx.AsyncClient) -> None:
    """A role starts without its database: alive, not ready and naming it; ready once it can be reached."""
    with relayed(shared_stage.database_url) as relay:
        relay.fall_silent()
        running = shared_stage.listening("webhook-receiver", DATABASE_URL=relay.url)
        code, said = ready(running)
        assert (code, said["checks"]["database"] in ("the database does not answer", "no answer within 1 s")) == (
            503,
            True,
        )
        assert (await http.get(f"{running.url}/healthz")).json() == {"alive": True}

        relay.speak()

        async def asked() -> int:
            return (await http.get(f"{running.url}/readyz")).status_code

        await becomes(200, asked)


@pytest.mark.parametrize("role", ["gateway", "worker"])
def test_g14_a_port_in_use_is_not_waited_for(shared_stage: Stage, role: str) -> None:
    """The process exits 1, and its last line says which port it is and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        running = shared_stage.launch(role, PORT=str(port))
        assert running.ended(60) == 1
    last = running.log().splitlines()[-1]
    assert last.startswith(f"counterfoil: port {port} on 127.0.0.1 is in use by another program")
    assert "Traceback" not in running.log()
