"""Tables: aligned plain text. A pipe gets every cell whole; a terminal gets colour, and a line a row.

Invariant: a row is never folded by us. What does not fit on a terminal is shortened, then left out column by column.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torkctl.output import stdout

_STATE_STYLES = {
    "COMPLETED": "32",
    "ACTIVE": "32",
    "UP": "32",
    "FAILED": "31",
    "DOWN": "31",
    "RUNNING": "36",
    "CANCELLED": "33",
    "STOPPED": "33",
    "PAUSED": "33",
}
_GAP = "   "
_SHORTEST = 12
"""Before a shortened cell loses more than leaves it so many characters, another column goes."""

_LEAST = 4
"""What a shortened cell keeps when no column is left to go."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Named columns and their rows; an empty cell is shown as `-`, so that columns can be counted."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    shortened: str = ""
    """The column that gives way first on a narrow terminal."""

    dropped: Sequence[str] = ()
    """The columns that a narrow terminal does without, the first of them first."""


def painted(text: str, code: str, *, color: bool) -> str:
    """The text in an ANSI style, or as it is."""
    return f"\x1b[{code}m{text}\x1b[0m" if color and text else text


def state_text(state: str, *, color: bool) -> str:
    """A state in its colour."""
    return painted(state, _STATE_STYLES.get(state, "2"), color=color)


def cell(text: str) -> str:
    """Text fit for a cell: one line, no control characters."""
    return "".join(character if character.isprintable() else " " for character in text).strip() or "-"


def write_table(table: Table) -> None:
    """Write the table, as `table_lines` has it."""
    stdout.write_lines(table_lines(table))


def table_lines(table: Table) -> list[str]:
    """The table for stdout: fitted to a terminal's width, else as plain text with every cell whole."""
    if stdout.is_terminal():
        return fitted_lines(table, shutil.get_terminal_size().columns, color=stdout.uses_color())
    return plain_lines(table)


def plain_lines(table: Table) -> list[str]:
    """The table without any styling, a line a row, columns aligned."""
    rows = [[column.upper() for column in table.columns], *([cell(text) for text in row] for row in table.rows)]
    widths = [max(len(row[index]) for row in rows) for index in range(len(table.columns))]
    return [_GAP.join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def fitted_lines(table: Table, width: int, *, color: bool) -> list[str]:
    """The table in lines of that width, if it says what may be shortened or dropped; else as wide as it is."""
    from rich.cells import cell_len

    columns = {
        name: [name.upper(), *(cell(row[index]) for row in table.rows)] for index, name in enumerate(table.columns)
    }
    widths = {name: max(map(cell_len, cells)) for name, cells in columns.items()}
    for name in table.dropped:
        if _least_width(widths, table.shortened) <= width:
            break
        columns.pop(name)
        widths.pop(name)
    if table.shortened:
        excess = max(0, _full_width(widths) - width)
        widths[table.shortened] = max(widths[table.shortened] - excess, min(widths[table.shortened], _LEAST))
    shown = [[fitted(text, widths[name]) for text in cells] for name, cells in columns.items()]
    header, *rows = ([*row] for row in zip(*shown, strict=True))
    styled = [[painted(text, "1", color=color) for text in header]]
    styled += [[_styled(text, color=color) for text in row] for row in rows]
    return [_GAP.join(row).rstrip() for row in styled]


def _full_width(widths: Mapping[str, int]) -> int:
    return sum(widths.values()) + len(_GAP) * (len(widths) - 1)


def _least_width(widths: Mapping[str, int], shortened: str) -> int:
    return _full_width({**widths, shortened: min(widths[shortened], _SHORTEST)}) if shortened else _full_width(widths)


def fitted(text: str, width: int) -> str:
    """The text in so many columns of a terminal, cut or filled."""
    from rich.cells import cell_len, set_cell_size

    fitted: str = set_cell_size(text, width) if cell_len(text) <= width else set_cell_size(text, width - 1) + "…"
    return fitted


def _styled(text: str, *, color: bool) -> str:
    """A state in its colour, without the blanks after it."""
    state = text.rstrip()
    return text.replace(state, state_text(state, color=color), 1) if state in _STATE_STYLES else text
