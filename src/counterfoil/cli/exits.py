"""How a command ends: the exit codes, and the errors that carry one."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What scripts may rely on. 69 and 78 are EX_UNAVAILABLE and EX_CONFIG of BSD's sysexits.h."""

    DONE = 0
    REFUSED = 1
    USAGE = 2
    UNREACHABLE = 69
    SETTINGS = 78
    INTERRUPTED = 130


class CommandFailed(Exception):
    """A command did not do what was asked; `str()` is the one line that says why."""

    exit_code = ExitCode.REFUSED


class Unreachable(CommandFailed):
    """The gateway or the database does not answer, so nothing was done."""

    exit_code = ExitCode.UNREACHABLE


class WrongUsage(CommandFailed):
    """The command was called in a way that it does not understand."""

    exit_code = ExitCode.USAGE
