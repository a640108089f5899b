"""Who is there: the locks, the pid file and the process of an embedded server.

The locks are `flock`s, which belong to an open file and so to all who inherited it: the kernel drops them when the last
such process is gone, however it went. They are asked first; a pid is believed only with the process's own witness.
"""

import fcntl
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from counterfoil.store.embedded.place import Place


def owner_lock(home: Path) -> Path:
    """The file locked by the one process that runs this home's server."""
    return home / "postgres.owner"


def server_lock(home: Path) -> Path:
    """The file locked by every process of this home's server, and by who starts it."""
    return home / "postgres.lock"


def locked(path: Path, *, shared: bool = False) -> int | None:
    """Lock a file, made if absent (0600), and return its descriptor, or None when somebody else holds it.

    Closing the descriptor lets go, unless a child has inherited it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


@contextmanager
def letting_go(descriptor: int) -> Iterator[int]:
    """Close the descriptor of a lock at the end."""
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def is_owned(home: Path) -> bool:
    """Whether some process holds the owner's lock now."""
    if not owner_lock(home).exists():
        return False
    lock = locked(owner_lock(home), shared=True)
    if lock is not None:
        os.close(lock)
    return lock is None


def ready_port(place: Place) -> int | None:
    """The port of a server that says it is ready, by lines 4 and 8 of its pid file (PostgreSQL's `miscadmin.h`)."""
    lines = _pid_lines(place)
    match lines:
        case [_, _, _, port, _, _, _, status, *_] if port.isdigit() and status.strip() == "ready":
            return int(port)
    return None


def live_pid(place: Place) -> int | None:
    """The process that the pid file names, if it lives and is a PostgreSQL on this very data directory."""
    lines = _pid_lines(place)
    if not lines or not lines[0].isdigit():
        return None
    pid = int(lines[0])
    return pid if _serves(pid, place.data.resolve()) else None


def _pid_lines(place: Place) -> list[str]:
    try:
        return place.pid_file.read_text().splitlines()
    except FileNotFoundError:
        return []


def _serves(pid: int, data: Path) -> bool:
    """Whether a process is alive (a zombie is not) and serves this data directory.

    A server works in its data directory; where there is no /proc, its command line has to tell.
    """
    if Path("/proc/self/cwd").exists():
        try:
            return Path(f"/proc/{pid}/cwd").readlink() == data
        except OSError:  # gone, a zombie (which has none), or somebody else's
            return False
    shown = subprocess.run(  # noqa: S603 - fixed words and a number
        ["/bin/ps", "-o", "stat=,args=", "-p", str(pid)], capture_output=True, check=False, text=True
    ).stdout.strip()
    return bool(shown) and not shown.startswith("Z") and str(data) in shown
