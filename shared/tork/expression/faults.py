"""Faults inside an expression, and how they are told.

A `Fault` never leaves this package: the entry points turn it into an `ExpressionError` that shows the place. Messages
name kinds and never quote values, because a value may be a secret and messages end up in task errors and logs.
"""

from __future__ import annotations

from tork.errors import ExpressionError

_EXCERPT_WIDTH = 100


class Fault(Exception):
    """What is wrong, in one sentence without the place; `position` is filled in by whoever knows it first."""

    def __init__(self, message: str, position: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.position = position


def explain(fault: Fault, text: str) -> ExpressionError:
    """The error to raise: the sentence, the place as line:column, and the source line with a caret under it."""
    if fault.position is None:
        return ExpressionError(fault.message)
    position = min(fault.position, len(text))
    line_start = text.rfind("\n", 0, position) + 1
    line_end = text.find("\n", position)
    line = text[line_start : line_end if line_end >= 0 else len(text)]
    column = position - line_start
    number = text.count("\n", 0, position) + 1
    excerpt, caret = _excerpt(line, column)
    message = f"{fault.message} ({number}:{column + 1})\n | {excerpt}\n | {' ' * caret}^"
    return ExpressionError(message, position=position)


def _excerpt(line: str, column: int) -> tuple[str, int]:
    """The part of a line around a column, printable, one character for each, and where the column is in it."""
    start = max(0, min(column - _EXCERPT_WIDTH // 2, len(line) - _EXCERPT_WIDTH))
    shown = line[start : start + _EXCERPT_WIDTH]
    return "".join(mark if mark.isprintable() else " " for mark in shown).rstrip(), column - start
