"""stripe-mock, Stripe's own server of its OpenAPI file: every URL, every parameter's name and type, and no behaviour.

It is a Go module, fetched and built where Go is installed, and not copied here.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

NAME = "github.com/stripe/stripe-mock"
VERSION = "v0.189.0"
FILE = Path("embedded/openapi/spec3.json")
GO = shutil.which("go")
WHY_SKIPPED = "Go is not installed, and stripe-mock is a Go module"

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


def built(folder: Path) -> Path:
    """Build the program into that folder and return where it is."""
    _go(_builder(), "install", f"{NAME}@{VERSION}", GOBIN=str(folder))
    return folder / "stripe-mock"


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
