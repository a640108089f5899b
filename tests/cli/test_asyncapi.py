import json
import subprocess
from collections.abc import Callable

Command = Callable[..., subprocess.CompletedProcess[str]]


def test_the_document_is_printed(counterfoil: Command) -> None:
    """Tools read it from standard output; no setting is needed."""
    done = counterfoil("asyncapi")
    printed = json.loads(done.stdout)
    assert (done.returncode, printed["asyncapi"]) == (0, "3.0.0")
    assert printed["channels"]["payments_completed"]["address"] == "payments.completed"
