"""How builtins declare themselves: what the parser checks at the call, and what the evaluator charges for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Function:
    """A builtin whose arguments are evaluated before it is called."""

    call: Callable[..., Any]
    least: int
    # fewest arguments
    most: int | None = None
    # most arguments, None for any number; left out: as many as `least`
    budgeted: bool = False
    # the budget comes as first argument, and the function charges for the lists and strings it makes
    instant: bool = False
    # the time taken does not depend on the sizes of the arguments


def fixed(call: Callable[..., Any], least: int, most: int | None = None, *, instant: bool = False) -> Function:
    """A function of `least` to `most` arguments whose results the evaluator charges for."""
    return Function(call, least, least if most is None else most, instant=instant)


def metered(call: Callable[..., Any], least: int, most: int | None = None) -> Function:
    """A function that takes the budget first and charges for what it makes."""
    return Function(call, least, least if most is None else most, budgeted=True)


def variadic(call: Callable[..., Any], least: int) -> Function:
    """A metered function of at least `least` arguments."""
    return Function(call, least, None, budgeted=True)


def counted(least: int, most: int | None) -> str:
    """How many arguments a builtin takes, for messages."""
    if most is None:
        return f"takes at least {least} argument{'s' if least != 1 else ''}"
    if least == most:
        return f"takes {least} argument{'s' if least != 1 else ''}" if least else "takes no arguments"
    return f"takes {least} to {most} arguments"
