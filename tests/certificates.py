"""Certificates that a test makes for itself, each signed by nobody but itself."""

import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

OPENSSL = shutil.which("openssl")


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate with its key, in files."""

    file: Path
    key_file: Path

    def shown(self) -> ssl.SSLContext:
        """Return what a server needs to show it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.replace_in(context)
        return context

    def replace_in(self, context: ssl.SSLContext) -> None:
        """Have a server show it from its next connection on."""
        context.load_cert_chain(self.file, self.key_file)


def certificate(folder: Path, name: str, of: str = "IP:127.0.0.1") -> Certificate:
    """Make a certificate of a host; a test that needs one is skipped where OpenSSL's command is not there."""
    if OPENSSL is None:
        pytest.skip(reason="openssl is not installed")
    made = Certificate(folder / f"{name}.pem", folder / f"{name}.key")
    command = (
        *(OPENSSL, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc"),
        *("-subj", f"/CN={name}", "-addext", f"subjectAltName={of}"),
        *("-out", made.file, "-keyout", made.key_file),
    )
    subprocess.run(command, check=True, capture_output=True)
    return made
