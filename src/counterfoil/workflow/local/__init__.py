"""Step Functions, SQS and IAM on this machine: moto's server, for the demo and the tests. It keeps nothing.

It has to be told its own port, since the machines it runs send their messages there; and it has to be switched on,
as otherwise every execution "succeeds" with a history that is always the same.
"""

import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import httpx

ADDRESS: Final = "127.0.0.1"
ACCOUNT: Final = "123456789012"
REGION: Final = "eu-central-1"

_SWITCHED_ON: Final = MappingProxyType({"stepfunctions": {"execute_state_machine": True}})


def url(port: int) -> str:
    """Return where the server on this port is."""
    return f"http://{ADDRESS}:{port}"


def command(port: int) -> tuple[str, ...]:
    """Return what starts the server; it needs `moto[server]`, and `surroundings` beside what it inherits."""
    return (sys.executable, "-m", "counterfoil.workflow.local.server", "--host", ADDRESS, "--port", str(port))


def surroundings(port: int) -> Mapping[str, str]:
    """Return what is set for the server itself."""
    return {"MOTO_PORT": str(port)}


def health_url(port: int) -> str:
    """Return what answers 200 once the server listens."""
    return f"{url(port)}/moto-api/data.json"


def access(port: int) -> Mapping[str, str]:
    """Return what is set for whoever speaks to it; the credentials are made up, as it takes any."""
    return {
        "AWS_ENDPOINT_URL": url(port),
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def switch_on(port: int) -> None:
    """Let it carry machines out. Raises httpx.HTTPError where it does not listen, or refuses."""
    with httpx.Client(trust_env=False, timeout=30) as client:
        client.post(f"{url(port)}/moto-api/config", json=dict(_SWITCHED_ON)).raise_for_status()
