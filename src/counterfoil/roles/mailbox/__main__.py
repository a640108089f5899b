"""`python -m counterfoil.roles.mailbox`: the mailbox as a process, which `counterfoil up` starts."""

import argparse
import asyncio
from pathlib import Path

from counterfoil.roles.mailbox.taking import Place, run
from counterfoil.runtime import log
from counterfoil.runtime.shutdown import Shutdown


async def _until_told(place: Place) -> None:
    shutdown = Shutdown()
    with shutdown.on_signals():
        await run(place, shutdown)


def main() -> None:
    """Run the mailbox until it is told to stop."""
    parser = argparse.ArgumentParser(description="Takes letters by SMTP, sends nothing on, and shows them.")
    parser.add_argument("--folder", type=Path, required=True, help="where letters are kept")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen at")
    parser.add_argument("--port", type=int, required=True, help="of the pages")
    parser.add_argument("--smtp-port", type=int, required=True, help="where letters are handed in")
    place = Place(**vars(parser.parse_args()))
    log.configure("info")
    asyncio.run(_until_told(place))


if __name__ == "__main__":
    main()
