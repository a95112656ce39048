"""A job's timeline in lines of text: a bar a task, over the time from the job's submission to its end or to now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from torkctl.client.documents import JobReport
from torkctl.output.tables import cell, fitted, painted, state_text
from torkctl.output.times import seconds_text
from torkctl.settings import OutputFormat
from torkctl.timing import Timed, critical_seconds

_WAITED, _QUEUED, _RAN, _HELD_TASKS = "·", "░", "█", "─"
_MOST_SIBLINGS = 20
_PLAIN_BAR = 40
_SHORTEST_BAR = 16
_SHORTEST_NAME = 12
_CRITICAL_STYLE, _OTHER_STYLE = "1;33", "36"


@dataclass(frozen=True, kw_only=True)
class _Row:
    name: str
    one: Timed | None = None
    """Nothing in a row that sums others up."""


@dataclass(frozen=True, kw_only=True)
class _Scale:
    start: datetime
    seconds: float
    columns: int

    def column(self, at: datetime) -> int:
        place = int((at - self.start).total_seconds() / self.seconds * self.columns)
        return min(max(place, 0), self.columns)


def timeline_lines(
    job: JobReport, top: Sequence[Timed], now: datetime, *, width: int | None, color: bool, output: OutputFormat
) -> list[str]:
    """The timeline in lines of that width, or, without one, with every name whole."""
    from rich.cells import cell_len

    end = max([job.completed_at or job.failed_at or now, *(one.ended_at for one in top)])
    seconds = (end - job.created_at).total_seconds()
    rows = list(_rows(top))
    cells = [_cells(row, output) for row in rows]
    header = ["TASK", "STATE", "QUEUED", "RAN", *(["ID"] if output is OutputFormat.WIDE else [])]
    names, *columns = zip(header, *cells, strict=True)
    shown = [_padded(column) for column in columns]
    shown, name_width, bar_width = _fit(shown, max(map(cell_len, names)), width)
    scale = _Scale(start=job.created_at, seconds=max(seconds, 0.001), columns=bar_width)
    lines = [_line(header[0], [column[0] for column in shown], name_width, _axis(seconds, bar_width))]
    for number, row in enumerate(rows, 1):
        texts = [_colored(column[number], color=color) for column in shown]
        lines.append(_line(row.name, texts, name_width, _bar(row.one, scale, color=color)))
    queued, ran = critical_seconds(top)
    told = f"{seconds_text(seconds)} in all; on the critical path (*) {seconds_text(ran)} run, {seconds_text(queued)} queued"
    return [*(line.rstrip() for line in lines), fitted(told, width).rstrip() if width else told]


def _rows(siblings: Sequence[Timed], depth: int = 0) -> Iterator[_Row]:
    chosen = {one.branch.task.id for one in sorted(siblings, key=_rank)[:_MOST_SIBLINGS]}
    for one in siblings:
        if one.branch.task.id in chosen:
            task = one.branch.task
            attempt = f" ({one.branch.number}/{one.branch.of})" if one.branch.of > 1 else ""
            mark = "* " if one.is_critical else "  "
            yield _Row(name=mark + "  " * depth + cell(task.name or f"#{task.position}") + attempt, one=one)
            yield from _rows(one.children, depth + 1)
    rest = [one for one in siblings if one.branch.task.id not in chosen]
    if rest:
        longest = seconds_text(max(one.ran_seconds for one in rest))
        yield _Row(name="  " + "  " * depth + f"… and {len(rest)} more, none over {longest}")


def _rank(one: Timed) -> tuple[bool, bool, float]:
    return (not one.is_critical, one.branch.state not in {"FAILED", "RUNNING"}, -one.ran_seconds)


def _cells(row: _Row, output: OutputFormat) -> list[str]:
    one, wide = row.one, output is OutputFormat.WIDE
    if one is None:
        return [row.name, "", "", "", *([""] if wide else [])]
    has_queued = one.branch.kind == "task" and one.branch.task.scheduled_at and one.branch.state != "SKIPPED"
    queued = seconds_text(one.queued_seconds) if has_queued else "-"
    ran = seconds_text(one.ran_seconds) if one.branch.task.started_at and one.branch.state != "SKIPPED" else "-"
    return [row.name, one.branch.state, queued, ran, *([one.branch.task.id] if wide else [])]


def _padded(column: Sequence[str]) -> list[str]:
    width = max(map(len, column))
    return [text.ljust(width) for text in column]


def _fit(columns: list[list[str]], name_width: int, width: int | None) -> tuple[list[list[str]], int, int]:
    """The columns there is room for, the width of names, and that of bars."""
    if width is None:
        return columns, name_width, _PLAIN_BAR
    least = min(name_width, _SHORTEST_NAME)
    while columns and _taken(columns) + least + 2 + _SHORTEST_BAR > width:
        columns = columns[1:]
    name_width = max(min(name_width, (width - _taken(columns)) // 2 - 2), min(least, width))
    return columns, name_width, max(1, width - _taken(columns) - name_width - 2)


def _taken(columns: Sequence[Sequence[str]]) -> int:
    return sum(len(column[0]) + 2 for column in columns)


def _line(name: str, texts: Sequence[str], name_width: int, bar: str) -> str:
    return "  ".join([fitted(name, name_width), *texts, bar])


def _colored(text: str, *, color: bool) -> str:
    state = text.rstrip()
    return text.replace(state, state_text(state, color=color), 1) if state.isalpha() and color else text


def _axis(seconds: float, columns: int) -> str:
    end = seconds_text(seconds)
    return "0s" + end.rjust(columns - 2) if columns > len(end) + 2 else end[:columns]


def _bar(one: Timed | None, scale: _Scale, *, color: bool) -> str:
    if one is None:
        return ""
    begin, handed_out, start, end = map(scale.column, (one.created_at, one.handed_out_at, one.started_at, one.ended_at))
    text = " " * begin + _WAITED * (handed_out - begin) + _QUEUED * (start - handed_out)
    if one.branch.task.started_at and one.branch.state != "SKIPPED":
        text = text[: scale.columns - 1]  # what ran is seen, however short it was
        text += (_HELD_TASKS if one.children else _RAN) * max(end - start, 1)
    return painted(text, _CRITICAL_STYLE if one.is_critical else _OTHER_STYLE, color=color)
