"""The embedded server: a real PostgreSQL from a wheel, for a machine with nothing set up.

We use the wheel's programs only and own everything else: the cluster, the child process, its port, its end.

- **One owner.** `HOME/postgres.owner` is locked by the process that runs the server; a second start joins or is told.
- **One server.** `HOME/postgres.lock` is locked by the server's own processes, which inherit it. Once we hold it, no
  process of an earlier server of ours is left, whatever a pid file says.
- **No survivor.** The server is the child of a keeper (`keeper.py`) that stops it when its owner is gone.
- **Loopback and a password.** TCP on 127.0.0.1, SCRAM: a Unix socket's path may have 107 bytes only, and its folder
  would have to be open to a root whose server runs as another account.

Durability is not relaxed: fsync, full-page writes and synchronous commit are on, pages have checksums.
"""

from counterfoil.store.embedded.cluster import LOG, EmbeddedServer, joined_or_started, remove, running, server
from counterfoil.store.embedded.place import AlreadyRunning, EmbeddedError, NotInstalled, StartFailed

__all__ = [
    "LOG",
    "AlreadyRunning",
    "EmbeddedError",
    "EmbeddedServer",
    "NotInstalled",
    "StartFailed",
    "joined_or_started",
    "remove",
    "running",
    "server",
]
