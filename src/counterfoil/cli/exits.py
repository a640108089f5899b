"""How a command ends: the exit codes, and the errors that carry one."""

from enum import IntEnum

from counterfoil.domain.errors import CounterfoilError, Misconfigured, Unavailable


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


EXPECTED = (CommandFailed, CounterfoilError)
"""What is told in one line; anything else is a mistake of ours, and its traceback is wanted."""


def exit_code_for(why: CommandFailed | CounterfoilError) -> ExitCode:
    """Return the exit code of an expected error."""
    if isinstance(why, CommandFailed):
        return why.exit_code
    if isinstance(why, Misconfigured):
        return ExitCode.SETTINGS
    return ExitCode.UNREACHABLE if isinstance(why, Unavailable) else ExitCode.REFUSED


def first_cause(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first error inside a group, an expected one before any other."""
    expected, _ = group.split(EXPECTED)
    first = (expected or group).exceptions[0]
    return first_cause(first) if isinstance(first, BaseExceptionGroup) else first
