"""The keeper of a process group: nobody in it outlives its owner for long. Started by path, never imported.

    python -I -S group_keeper.py GRACE_SECONDS

It leads a process group that the owner puts its children into, and waits on its standard input, a pipe whose only
write end the owner holds. A byte says that all is well and over. End-of-file without one means that the owner is
gone, however it died: then the group is asked to stop, and after the grace it is killed, the keeper with it. A pipe
does this on every Unix; a parent-death signal is Linux's alone.
"""

import os
import signal
import sys
import time


def main(grace_seconds: float) -> None:
    """Wait for the owner's word or its end."""
    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)  # they are meant for the others in the group
    if os.read(sys.stdin.fileno(), 1):
        return
    os.killpg(0, signal.SIGTERM)
    time.sleep(grace_seconds)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main(float(sys.argv[1]))
