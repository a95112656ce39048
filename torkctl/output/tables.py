"""Tables: aligned plain text in a pipe, coloured on a terminal. The cells are the same."""

from __future__ import annotations

from collections.abc import Sequence
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


@dataclass(frozen=True, kw_only=True)
class Table:
    """Named columns and their rows; an empty cell is shown as `-`, so that columns can be counted."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


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
    """Write the table: through rich on a terminal, which fits it to the width; else as plain text."""
    if stdout.is_terminal():
        _write_rich(table)
    else:
        stdout.write_lines(plain_lines(table))


def plain_lines(table: Table) -> list[str]:
    """The table without any styling, a line a row, columns aligned."""
    rows = [[column.upper() for column in table.columns], *([cell(text) for text in row] for row in table.rows)]
    widths = [max(len(row[index]) for row in rows) for index in range(len(table.columns))]
    return [_GAP.join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _write_rich(table: Table) -> None:
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    drawn = RichTable(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for column in table.columns:
        # an id that is cut can't be copied
        drawn.add_column(column.upper(), no_wrap=column in {"id", "state"}, overflow="fold")
    color = stdout.uses_color()
    for row in table.rows:
        drawn.add_row(*(Text.from_ansi(state_text(cell(text), color=_is_state(text) and color)) for text in row))
    Console(color_system="auto" if color else None, highlight=False).print(drawn)


def _is_state(text: str) -> bool:
    return text in _STATE_STYLES
