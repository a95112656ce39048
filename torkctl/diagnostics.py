"""Everything on stderr, and the exit codes. Scripts depend on the codes: the table here is a contract.

Invariants: nothing here writes to stdout; a stderr that is gone never changes the exit code; a runner that reads along is
given no commands by the names and errors of jobs.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from tork.errors import (
    DefinitionError,
    DurationError,
    ExpressionError,
    IdempotencyConflict,
    NotFound,
    SettingsError,
    StateConflict,
)
from torkctl import workflow_commands
from torkctl.errors import Declined, Denied, OutOfTime, Refused, Unsupported, UsageProblem


class ExitCode(IntEnum):
    """How a command ended."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    CANCELLED = 3
    NOT_FOUND = 4
    UNKNOWN = 5
    DENIED = 6
    TIMED_OUT = 124
    INTERRUPTED = 130


_CODE_OF_ERROR: tuple[tuple[type[BaseException], ExitCode], ...] = (
    (KeyboardInterrupt, ExitCode.INTERRUPTED),
    (UsageProblem, ExitCode.USAGE),
    (DefinitionError, ExitCode.USAGE),
    (ExpressionError, ExitCode.USAGE),
    (DurationError, ExitCode.USAGE),
    (SettingsError, ExitCode.USAGE),
    (Refused, ExitCode.USAGE),
    (IdempotencyConflict, ExitCode.USAGE),
    (Unsupported, ExitCode.USAGE),
    (StateConflict, ExitCode.FAILED),
    (Declined, ExitCode.FAILED),
    (NotFound, ExitCode.NOT_FOUND),
    (Denied, ExitCode.DENIED),
    (OutOfTime, ExitCode.TIMED_OUT),
)

_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
"""Control characters but the line feed."""

_WORST_FIRST = (
    ExitCode.INTERRUPTED,
    ExitCode.UNKNOWN,
    ExitCode.TIMED_OUT,
    ExitCode.USAGE,
    ExitCode.DENIED,
    ExitCode.NOT_FOUND,
    ExitCode.FAILED,
    ExitCode.CANCELLED,
    ExitCode.DONE,
)


def exit_code_of(error: BaseException) -> ExitCode:
    """The code for an error that ends a command. What is not in the table left the outcome unknown."""
    for kind, code in _CODE_OF_ERROR:
        if isinstance(error, kind):
            return code
    return ExitCode.UNKNOWN


def worst(codes: Iterable[ExitCode]) -> ExitCode:
    """The one code for several things: the first that applies. One that is not foreseen is never taken for success."""
    present = set(codes) or {ExitCode.DONE}
    return next((code for code in _WORST_FIRST if code in present), ExitCode.UNKNOWN)


@dataclass(kw_only=True)
class _Manner:
    quiet: bool = False
    verbose: bool = False
    color: bool = False


_manner = _Manner()


def configure(*, quiet: bool = False, verbose: bool = False, no_color: bool = False) -> None:
    """Say how much is told, and whether colour is wanted where it can be shown."""
    _manner.quiet = quiet
    _manner.verbose = verbose
    _manner.color = not no_color and shows_color(sys.stderr.isatty())


def shows_color(is_terminal: bool) -> bool:
    """Whether colour codes belong there: on terminals that know them, and never with NO_COLOR."""
    return is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def notice(text: str) -> None:
    """Something worth knowing while it goes well; not told with --quiet."""
    if not _manner.quiet:
        _write(_painted(_line(text), "2"))


def verdict(text: str, *, is_good: bool) -> None:
    """How what was waited for has ended: a notice when it went well; what did not is told with --quiet too."""
    if is_good:
        notice(text)
    else:
        _write(_line(text))


def block(text: str) -> None:
    """Several lines worth knowing, as they are; not told with --quiet."""
    if not _manner.quiet:
        _write(text)


def detail(text: str) -> None:
    """Something for those who look for a cause: told with --verbose only."""
    if _manner.verbose:
        _write(_painted(_safe(text), "2"))


def warning(text: str) -> None:
    """Something that may not be as wanted."""
    _write(f"{_painted('warning:', '33')} {_safe(text)}")


def log_is_incomplete() -> None:
    """The server does not have all that a task has printed."""
    warning("not all of the log has come: some of what was printed was lost on its way to the database")


def error(text: str) -> None:
    """Why the command ends without success."""
    _write(f"{_painted('error:', '31')} {_safe(text)}")


def problem(text: str) -> None:
    """A line that starts with the place it speaks of, as editors read it: `file:line:col: message`."""
    _write(_safe(text))


def prompt(text: str) -> None:
    """A question, whose answer follows on the same line."""
    _write(_safe(text), end="")


def is_verbose() -> bool:
    """Whether causes are told."""
    return _manner.verbose


def uses_color() -> bool:
    """Whether stderr shows colour."""
    return _manner.color


def _safe(text: str) -> str:
    """Without what a terminal would obey: names and errors come from jobs, and may have been written to fool a reader."""
    return _CONTROL.sub(" ", text)


def _line(text: str) -> str:
    return _safe(text).replace("\n", " ")


def _painted(text: str, code: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if _manner.color else text


def _write(text: str, *, end: str = "\n") -> None:
    write_as_it_is((workflow_commands.defused(text) if workflow_commands.is_obeyed() else text) + end)


def write_as_it_is(text: str) -> None:
    """Write what a runner may obey."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (OSError, ValueError):
        return  # nobody reads it any more; the exit code still speaks
