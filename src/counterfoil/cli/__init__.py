"""The command line: an HTTP client of the gateway, and what starts the processes."""

from counterfoil.cli.application import main

__all__ = ["main"]
