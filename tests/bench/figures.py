"""A measured figure beside its reference, and the table of them.

The machine may be slow or busy: only a figure's relation to a reference that was measured between its own repetitions
means anything. So a target is held against that relation, never against the bare time.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

HEADINGS = ("figure", "measured", "reference", "measured there", "result", "target", "met", "CPU")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One line of the table."""

    name: str
    measured: float
    unit: str
    reference: str = ""
    """What it is compared with."""
    reference_measured: float | None = None
    reference_unit: str = ""
    """The figure's own when empty."""
    result: float | None = None
    """What is held against the target: a difference or a ratio of the two."""
    result_unit: str = ""
    target: str = ""
    met: bool | None = None
    """None when there is no target."""
    cpu_ms: float | None = None
    """CPU time of all processes of the daemon for each of the things counted, which load by others changes less."""


def over(
    name: str, measured: float, unit: str, *, reference: str, bare: float, at_most: float, cpu_ms: float
) -> Figure:
    """A time, and how much of it is ours: what it takes beyond `bare`."""
    result = measured - bare
    return Figure(
        name=name,
        measured=measured,
        unit=unit,
        reference=reference,
        reference_measured=bare,
        result=result,
        result_unit=f"{unit} more",
        target=f"<= {at_most:g}",
        met=result <= at_most,
        cpu_ms=cpu_ms,
    )


def table(figures: Sequence[Figure]) -> str:
    """All figures, aligned: names to the left, numbers to the right."""
    rows = [HEADINGS, *(_cells(figure) for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if column in {0, 2} else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def as_json(figures: Sequence[Figure]) -> str:
    """All figures for a program, in full precision."""
    return json.dumps([asdict(figure) for figure in figures], indent=2)


def _cells(figure: Figure) -> tuple[str, ...]:
    return (
        figure.name,
        _number(figure.measured, figure.unit),
        figure.reference,
        _number(figure.reference_measured, figure.reference_unit or figure.unit),
        _number(figure.result, figure.result_unit),
        figure.target,
        {True: "yes", False: "NO", None: ""}[figure.met],
        _number(figure.cpu_ms, "ms"),
    )


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    digits = 0 if abs(value) >= 1000 else 2 if abs(value) < 100 else 1
    return f"{value:,.{digits}f} {unit}".rstrip()
