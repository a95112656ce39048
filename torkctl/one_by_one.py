"""The same done to several things, one after the other: what one of them refuses does not keep the others from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tork.errors import TorkError, Unavailable
from torkctl import diagnostics
from torkctl.diagnostics import ExitCode, exit_code_of, worst
from torkctl.output import stdout
from torkctl.settings import OutputFormat


def do_each(things: Sequence[str], act: Callable[[str], object], told: str, output: OutputFormat) -> ExitCode:
    """Do it to each, and once, tell it in words such as `schedule {} is paused`, and write those it was done to.

    Returns the first code that applies.
    """
    done: list[str] = []
    codes: list[ExitCode] = []
    for thing in dict.fromkeys(things):
        try:
            act(thing)
        except TorkError as error:
            diagnostics.error(f"{thing}: {error}")
            codes.append(exit_code_of(error))
            if isinstance(error, Unavailable):
                break  # the others would wait as long, one after the other
        else:
            done.append(thing)
            diagnostics.notice(told.format(thing))
    stdout.write_done(done, output)
    return worst(codes)
