"""`compose.yaml` and the image, as far as they can be proved without a Docker engine: nobody has started them here."""

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from tests import stripe_mock

from counterfoil.config import SETTINGS, Role, load
from examples.shop.__main__ import Settings

CHECKOUT = Path(__file__).parents[2]
COMPOSE = CHECKOUT / "compose.yaml"
DOCKERFILE = CHECKOUT / "deploy" / "Dockerfile"

SPECIFICATION = ("github.com/compose-spec/compose-go/v2", "v2.16.2")
"""What Docker Compose itself reads its files with, and the schema of the specification."""

WHY_SKIPPED = "Go is not installed, and the Compose specification comes in compose-go's Go module"
needs_go = pytest.mark.skipif(stripe_mock.GO is None, reason=WHY_SKIPPED)

ONCE = {"migrate", "topics", "token"}
"""What ends well and is waited for."""

OTHERS = {"postgres", "kafka", "stripe", "shop"}
"""What Counterfoil works with."""

Service = Mapping[str, Any]


@pytest.fixture(scope="module")
def services() -> Mapping[str, Service]:
    """The services as Compose reads them where nothing is set from outside."""
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", COMPOSE.read_text())
    found: Mapping[str, Service] = yaml.safe_load(text)["services"]
    return found


def environment(service: Service) -> dict[str, str]:
    return {name: str(value) for name, value in service.get("environment", {}).items()}


@needs_go
def test_it_is_what_the_specification_says() -> None:
    """Its shape is that of the specification's own JSON Schema."""
    schema = json.loads((stripe_mock.fetched(*SPECIFICATION) / "schema" / "compose-spec.json").read_text())
    jsonschema.validate(yaml.safe_load(COMPOSE.read_text()), schema)


@needs_go
def test_it_is_read_by_what_docker_compose_reads_it_with(services: Mapping[str, Service], tmp_path: Path) -> None:
    """Its loader resolves every variable, anchor, volume and dependency, and finds the services that this test sees."""
    program, version = SPECIFICATION
    loader = stripe_mock.built(tmp_path, f"{program}/cmd", version)
    done = subprocess.run(
        [loader, "--format=json", COMPOSE], capture_output=True, text=True, check=False, env={"HOME": str(tmp_path)}
    )
    assert done.returncode == 0, done.stderr
    read = json.loads(done.stdout)["services"]
    assert read.keys() == services.keys()
    for name, service in services.items():
        assert environment(read[name]) == environment(service)


def test_every_role_is_there_once(services: Mapping[str, Service]) -> None:
    """Under its own name, and run as such; and beside them what they work with, and what is done once."""
    assert services.keys() == set(Role) | ONCE | OTHERS
    assert {name: services[name]["command"] for name in Role} == {name: ["run", name.value] for name in Role}


@pytest.mark.parametrize("role", Role)
def test_a_role_starts_with_what_it_is_given(services: Mapping[str, Service], role: Role, tmp_path: Path) -> None:
    """Each name is a setting of ours, what the role needs is there, and each value is of its form."""
    given = environment(services[role])
    assert given.keys() <= {setting.name for setting in SETTINGS}
    if given.get("SECRETS_SOURCE") == "file":
        token = tmp_path / "token"
        token.write_text("cf_made_up\n")
        token.chmod(0o600)
        assert given["PAYMENTS_GATEWAY_TOKEN"].startswith("/var/lib/counterfoil/tokens/")
        given["PAYMENTS_GATEWAY_TOKEN"] = str(token)
    settings = load(given, role)
    assert settings.port == 8080
    assert (settings.database_url is not None) == role.needs_database


def test_a_role_is_given_no_secret_that_is_not_its_own(services: Mapping[str, Service]) -> None:
    """Who does not charge has no key, and only the receiver what notices are signed with."""
    secret = {setting.name: setting for setting in SETTINGS if setting.secret}
    for role in Role:
        for name in environment(services[role]).keys() & secret.keys():
            assert not secret[name].is_kept_from(role), f"{role} has {name}"


def test_the_shop_and_the_sandbox_are_given_what_they_read(services: Mapping[str, Service]) -> None:
    """The shop its settings and no others, the sandbox the secret that the receiver checks with."""
    shop = environment(services["shop"])
    assert shop.keys() == {"HOST", "KAFKA_BROKERS", "PORT", "SHOP_DATABASE_URL"}
    assert Settings.read(shop).port == 8080
    signing = environment(services[Role.WEBHOOK_RECEIVER])["STRIPE_WEBHOOK_SECRETS"]
    assert f"--webhook-secret={signing}" in services["stripe"]["command"]


def test_nobody_is_waited_for_who_never_comes(services: Mapping[str, Service]) -> None:
    """What is done once is waited for until it is done, all else until it is healthy, and nobody waits in a circle."""
    done: set[str] = set()
    while len(done) < len(services):
        ready = {name for name, one in services.items() if set(one.get("depends_on", {})) <= done} - done
        assert ready, f"these wait for one another: {services.keys() - done}"
        done |= ready
    for name, service in services.items():
        for awaited, how in service.get("depends_on", {}).items():
            expected = "service_completed_successfully" if awaited in ONCE else "service_healthy"
            assert how == {"condition": expected}, f"{name} waits for {awaited}"
            assert awaited in ONCE or "healthcheck" in services[awaited]


def test_every_role_is_healthy_once_it_is_ready(services: Mapping[str, Service]) -> None:
    """By `/readyz`, at the port where it listens; and it is given more time to end than it takes."""
    for name in (*Role, "shop"):
        assert "http://127.0.0.1:8080/readyz" in services[name]["healthcheck"]["test"][-1]
        assert services[name]["stop_grace_period"] == "20s"


def test_nothing_is_reached_from_outside_this_machine(services: Mapping[str, Service]) -> None:
    """Ports are published on loopback only, and each once; the database and the brokers are not published at all."""
    ports = [port for service in services.values() for port in service.get("ports", ())]
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert len({port.rpartition(":")[0] for port in ports}) == len(ports)
    assert not [name for name in ("postgres", "kafka") if "ports" in services[name]]


def test_a_secret_that_is_not_set_is_called_what_it_is() -> None:
    """Each default of a secret says that it is for development only."""
    defaults = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", COMPOSE.read_text()))
    assert defaults.keys() == {"POSTGRES_PASSWORD", "STRIPE_KEY", "STRIPE_WEBHOOK_SECRETS"}
    assert all(re.fullmatch(r"(sk_test_|whsec_)?for.development.only", value) for value in defaults.values())


def test_the_image_holds_what_the_locks_name_and_runs_as_nobody_special() -> None:
    """Every package comes by its hash, the last user is no root, and the program is the command."""
    lines = DOCKERFILE.read_text().replace("\\\n", " ").splitlines()
    installs = [part for line in lines for part in line.split("&&") if "pip install " in part]
    assert len(installs) == 3
    for install in installs:
        assert "--require-hashes -r requirements" in install or "--no-deps" in install
    assert [line for line in lines if line.startswith(("USER", "ENTRYPOINT"))] == [
        "USER 10001",
        'ENTRYPOINT ["counterfoil"]',
    ]
    assert {line.split()[1] for line in lines if line.startswith("FROM ")} == {"python:3.13-slim"}


def test_what_the_image_takes_is_sent_to_whoever_builds_it() -> None:
    """Everything that is copied from the checkout is there, and let through by `.dockerignore`."""
    copied = [line.split()[1:-1] for line in DOCKERFILE.read_text().splitlines() if line.startswith("COPY ")]
    wanted = {name for names in copied if not names[0].startswith("--from") for name in names}
    let_through = {line[1:] for line in (CHECKOUT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert wanted == let_through
    assert all((CHECKOUT / name).exists() for name in wanted)
