"""What is wrong with a job definition, and how it is told: one line a mistake, in the order of the file.

A line never holds a line break, whatever the document held: it is shown in terminals and editors as it is.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace

Path = tuple[str | int, ...]
"""Where a value is: keys and list positions from the top, such as ('tasks', 0, 'retry', 'limit')."""

MAX_PROBLEMS = 100
"""No more lines than this are shown; one more says how many there are."""

_MAX_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: where, what is wrong, and in brackets what would be right.

    `rule` names the broken rule in one word. `line` and `column` count from 1; 0 when the source is not known.
    """

    path: Path
    message: str
    rule: str
    line: int = 0
    column: int = 0

    def at(self, position: tuple[int, int]) -> Problem:
        """The same problem at a line and column."""
        return replace(self, line=position[0], column=position[1])

    def __str__(self) -> str:
        where = path_text(self.path)
        return f"{where}: {self.message}" if where else self.message

    def told(self, source: str = "") -> str:
        """The line for the reader: `file:line:column: path: what is wrong (what would be right)`."""
        position = f"{self.line}:{self.column}" if self.line else ""
        prefix = ":".join(part for part in (source, position) if part)
        return printable(f"{prefix}: {self}" if prefix else str(self))


class Unreadable(Exception):
    """A document that can't be read on from here. Stays inside this package: `read.py` makes it a DefinitionError."""

    def __init__(self, message: str, line: int, column: int, rule: str = "syntax") -> None:
        super().__init__(message)
        self.problem = Problem((), message, rule, line, column)


def path_text(path: Path) -> str:
    """The path as people write it: `tasks[0].env['a b']`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif step.replace("-", "_").isidentifier() and len(step) <= _MAX_SHOWN:
            text += f".{step}" if text else step
        else:
            text += f"[{shown(step)}]"
    return text


def shown(value: str) -> str:
    """A text out of the document in quotes: cut when long, control characters written as escapes."""
    plain = printable(value[:_MAX_SHOWN])
    return f"'{plain}…'" if len(value) > _MAX_SHOWN else f"'{plain}'"


def as_lines(problems: Iterable[Problem], source: str = "") -> list[str]:
    """The problems as lines: in the order of the file, those without a place last, and a count instead of the rest."""
    ordered = sorted(problems, key=lambda problem: (problem.line or sys.maxsize, problem.column))
    lines = [problem.told(source) for problem in ordered[:MAX_PROBLEMS]]
    rest = len(ordered) - len(lines)
    if rest:
        more = f"{rest} more {'problem is' if rest == 1 else 'problems are'} not shown"
        lines.append(f"{source}: {more}" if source else more)
    return lines


def printable(text: str) -> str:
    """The text with control characters written as escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
