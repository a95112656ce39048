"""The way in: whatever happens, the user gets a sentence and the caller a code of the contract, never a traceback."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from tork.errors import DefinitionError, TorkError
from torkctl import diagnostics
from torkctl.diagnostics import ExitCode, exit_code_of
from torkctl.errors import Unreached
from torkctl.output import stdout

_WAYS = "--endpoint, TORK_CLIENT_ENDPOINT or a context"


def main() -> NoReturn:
    """Run the command line of this process and end with its exit code."""
    _prepare_streams()
    signal.signal(signal.SIGTERM, _interrupt)
    sys.exit(guarded(_run))


def _run() -> int:
    # Guarded too: loading takes long enough for an impatient Ctrl-C.
    from torkctl.cli import run_command_line

    return run_command_line(sys.argv[1:])


def guarded(command: Callable[[], int]) -> int:
    """The command's exit code, or the one for the error that ended it, which is told."""
    try:
        return int(command())
    except KeyboardInterrupt:
        diagnostics.error("interrupted")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        stdout.abandon()
        return ExitCode.DONE  # the reader had enough, as `head` has
    except DefinitionError as error:
        for problem in error.problems:
            diagnostics.problem(problem)
        return ExitCode.USAGE
    except Unreached as error:
        diagnostics.error(f"{error} (right would be to start torkd run standalone, or to name the server: {_WAYS})")
        return exit_code_of(error)
    except TorkError as error:
        diagnostics.error(str(error))
        return exit_code_of(error)
    except Exception as error:  # noqa: BLE001 - the top: what is not foreseen leaves the outcome unknown
        return _unforeseen(error)


def _unforeseen(error: Exception) -> ExitCode:
    diagnostics.error(f"unforeseen {type(error).__name__}: {error} (--verbose tells where; please report it)")
    if diagnostics.is_verbose():
        import traceback

        diagnostics.block("".join(traceback.format_exception(error)).rstrip())
    return ExitCode.UNKNOWN


def _interrupt(_number: int, _frame: object) -> NoReturn:
    """A runner that ends a pipeline sends TERM where a person types Ctrl-C."""
    raise KeyboardInterrupt


def _prepare_streams() -> None:
    """A closed stream swallows what is written; a character that it can't show becomes a question mark."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - open until the process ends
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


if __name__ == "__main__":
    main()
