"""stripe-mock, Stripe's own server of its OpenAPI file: every URL, every parameter's name and type, and no behaviour.

It is a Go module, fetched and built where Go is installed, and not copied here.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.stage import until

NAME = "github.com/stripe/stripe-mock"
VERSION = "v0.189.0"
FILE = Path("embedded/openapi/spec3.json")
GO = shutil.which("go")
WHY_SKIPPED = "Go is not installed, and stripe-mock is a Go module"

LISTENS = re.compile(r"^Listening for HTTP at address: (?P<address>127\.0\.0\.1:\d+)$", re.MULTILINE)

TOOLCHAIN = ("golang.org/toolchain", "v0.0.1-go1.22.12")
"""A Go that can build it, for those that cannot: Debian 12's 1.19 does not even understand its `go.mod`."""

FIRST_THAT_HELPS_ITSELF = (1, 21)
"""From this version on Go understands such a `go.mod`, and fetches a newer Go by itself where one is asked for."""

_FETCH_SECONDS = 300
"""How long modules may take to come, and to be built: some twenty seconds, on a machine that does nothing else."""


def fetched(name: str = NAME, version: str = VERSION) -> Path:
    """Return the folder with a module's files, whose hash Go has checked."""
    answer = _go(GO, "mod", "download", "-json", f"{name}@{version}")
    return Path(json.loads(answer)["Dir"])


def built(folder: Path, program: str = NAME, version: str = VERSION) -> Path:
    """Build the program into that folder and return where it is."""
    _go(_builder(), "install", f"{program}@{version}", GOBIN=str(folder))
    return folder / program.rpartition("/")[2]


def _builder() -> str | None:
    """Return a Go that can build it: the one that is here, or else one that comes the way all modules come."""
    found = re.search(r"\bgo(\d+)\.(\d+)", _go(GO, "version"))
    assert found is not None
    if (int(found[1]), int(found[2])) >= FIRST_THAT_HELPS_ITSELF:
        return GO
    name, version = TOOLCHAIN
    machine = "-".join(_go(GO, "env", "GOOS", "GOARCH").split())
    folder = fetched(name, f"{version}.{machine}")
    for program in [*folder.glob("bin/*"), *folder.glob("pkg/tool/*/*")]:
        program.chmod(0o755)  # modules hold no programs, so nothing in them may be run
    return str(folder / "bin" / "go")


def _go(go: str | None, *arguments: str, **settings: str) -> str:
    assert go is not None, WHY_SKIPPED
    answer = subprocess.run(
        [go, *arguments],
        capture_output=True,
        check=False,
        cwd=Path(__file__).parent,
        env={**os.environ, **settings},  # noqa: TID251 - where modules come from is the developer's to say
        text=True,
        timeout=_FETCH_SECONDS,
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def strict(specification: Any) -> Any:
    """Return Stripe's file with two things said that Stripe does and its file leaves out.

    A name that nobody knows is refused on every level, not on the first alone. And a card may be given in
    ``payment_method_data`` as it may to ``POST /v1/payment_methods``, as a token for one.
    """
    paths = json.loads(json.dumps(specification["paths"]))
    card = _form(paths["/v1/payment_methods"]["post"])["card"]
    for path in ("/v1/payment_intents", "/v1/payment_intents/{intent}/confirm"):
        method = _form(paths[path]["post"])["payment_method_data"]["properties"]
        assert "card" not in method.keys() | set(method["type"]["enum"]), "Stripe's file has it now: drop this"
        method["card"] = card
        method["type"]["enum"].append("card")
    for operations in paths.values():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                _close(parameter["schema"])
            for content in operation.get("requestBody", {}).get("content", {}).values():
                _close(content["schema"])
    return {**specification, "paths": paths}


def _form(operation: Any) -> Any:
    return operation["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"]["properties"]


def _close(schema: Any) -> None:
    if "properties" in schema:
        schema.setdefault("additionalProperties", False)
    for inner in [*schema.get("properties", {}).values(), *schema.get("anyOf", ()), schema.get("items")]:
        if inner is not None:
            _close(inner)


@contextmanager
def running(program: Path, folder: Path) -> Iterator[str]:
    """Yield the URL of a stripe-mock on loopback that ends with the block."""
    log = folder / "stripe-mock.log"
    file = folder / "strict.json"
    file.write_text(json.dumps(strict(json.loads((fetched() / FILE).read_text()))))
    # With only the first address it would serve HTTPS too, on a fixed port and to the whole network.
    command = [str(program), "-http-addr", "127.0.0.1:0", "-https-addr", "127.0.0.1:0", "-spec", str(file)]
    with log.open("wb") as output, subprocess.Popen(command, env={}, stdout=output, stderr=output) as process:
        try:
            until(lambda: process.poll() is not None or LISTENS.search(log.read_text()) is not None)
            listening = LISTENS.search(log.read_text())
            assert listening is not None, log.read_text()
            yield f"http://{listening['address']}"
        finally:
            process.kill()
