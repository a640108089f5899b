"""The keeper: the process between an owner and its embedded server. Started by path, never imported by the platform.

    python -I -S keeper.py UID GID LOCK_FD COMMAND …

It becomes the given account, starts the command, and waits for whichever ends first. Its standard input is a pipe
whose only write end the owner holds: when the owner exits, however it dies, the kernel closes that end, the keeper
reads end-of-file and stops the server. A pipe does this on every Unix; a parent-death signal is Linux's alone.

It uses the standard library only, because a server must be able to stop whatever state our own packages are in.
"""

import os
import signal
import subprocess
import sys
import threading
from types import FrameType

FAST_SHUTDOWN_SECONDS = 10.0  # a checkpoint of a small machine's cache; beyond it, recovery at the next start is better
IMMEDIATE_SHUTDOWN_SECONDS = 5.0


def stop(server: "subprocess.Popen[bytes]") -> None:
    """Stop the server: fast (sessions end, a checkpoint is written), then at once, then by force.

    The signals are PostgreSQL's own: https://www.postgresql.org/docs/18/server-shutdown.html
    """
    for name, patience_seconds in (
        (signal.SIGINT, FAST_SHUTDOWN_SECONDS),
        (signal.SIGQUIT, IMMEDIATE_SHUTDOWN_SECONDS),
    ):
        server.send_signal(name)
        try:
            server.wait(patience_seconds)
        except subprocess.TimeoutExpired:
            continue
        return
    server.kill()


def main(arguments: list[str]) -> int:
    """Keep one server; return its exit code, or 128 + the signal that ended it."""
    uid, gid, lock = (int(argument) for argument in arguments[:3])
    if os.geteuid() != uid:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    os.umask(0o077)
    os.chdir("/")  # never keep somebody's folder busy
    # The lock goes on to the server and from it to each of its processes: it is free only when the last one is gone.
    server = subprocess.Popen(arguments[3:], stdin=subprocess.DEVNULL, pass_fds=(lock,))  # noqa: S603 - our own command
    os.close(lock)

    def stop_soon(_signal: int = 0, _frame: FrameType | None = None) -> None:
        threading.Thread(target=stop, args=(server,), daemon=True).start()

    def stop_at_end_of_file() -> None:
        sys.stdin.buffer.read()
        stop_soon()

    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, stop_soon)
    threading.Thread(target=stop_at_end_of_file, daemon=True).start()
    code = server.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    # Not sys.exit: the reading thread may hold the input's lock, which the interpreter's own farewell would wait for.
    os._exit(main(sys.argv[1:]))
