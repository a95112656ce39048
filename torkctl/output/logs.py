"""Log parts as lines: put together where a part ends in the middle of one, named, filtered and stamped.

Invariants: a line is written once, whole, and in the order in which its task printed it; stdout has what tasks printed and
nothing else. Where some of it is missing, a warning on stderr says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from tork.log import TaskLogPart
from torkctl import diagnostics
from torkctl.output import stdout
from torkctl.output.tables import painted
from torkctl.output.times import timestamp
from torkctl.settings import OutputFormat

T = TypeVar("T")

ANOTHER_RUN = "the run above did not finish, and the end of its log may be missing; the task runs again"
MISSING_PART, MISSING_PARTS = "a part of this log is missing here", "{} parts of this log are missing here"


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of a task's log, without its end."""

    task_id: str
    text: str
    at: datetime | None
    is_remark: bool = False
    """Whether the task did not print it: it tells of the log."""


@dataclass(frozen=True, kw_only=True)
class _Begun:
    """A line whose end has not come: put together once, when it has, however many parts it goes through."""

    pieces: list[str]
    at: datetime | None

    @property
    def text(self) -> str:
        return "".join(self.pieces)


@dataclass(kw_only=True)
class LineAssembler:
    """Makes lines of parts. A part may end within a line, and the next part of the same run goes on with it."""

    _open: dict[tuple[str, str], _Begun] = field(default_factory=dict)
    _last_numbers: dict[str, dict[str, int]] = field(default_factory=dict)
    """Of each run of a task, which number its last part had."""

    def lines(self, part: TaskLogPart) -> list[Line]:
        """The lines that the part completes."""
        remarks, text, at = self._completed(part)
        lines = [Line(task_id=part.task_id, text=line, at=part.created_at) for line in text.split("\n")[:-1]]
        if lines and at != part.created_at:
            lines[0] = Line(task_id=part.task_id, text=lines[0].text, at=at)
        return remarks + lines

    def text(self, part: TaskLogPart) -> tuple[list[Line], str]:
        """What comes before the part, and its lines as one text, which costs much less than each by itself."""
        remarks, text, _ = self._completed(part)
        return remarks, text

    def _completed(self, part: TaskLogPart) -> tuple[list[Line], str, datetime | None]:
        """What comes before, the lines that the part completes, and when the first of them was begun."""
        before = self._before(part)
        run = (part.task_id, part.run)
        contents = part.contents.replace("\r\n", "\n")
        end = contents.rfind("\n") + 1
        whole, rest = contents[:end], contents[end:]
        at = part.created_at
        begun = self._open.get(run)
        if begun and whole:
            del self._open[run]
            whole, at, begun = begun.text + whole, begun.at, None
        if begun and rest:
            begun.pieces.append(rest)
        elif rest:
            self._open[run] = _Begun(pieces=[rest], at=part.created_at)
        return before, whole, at

    def _before(self, part: TaskLogPart) -> list[Line]:
        """What is to be said before the part, when it does not go on where the one before it ended."""
        if not part.run or part.number < 1:
            return []
        runs = self._last_numbers.setdefault(part.task_id, {})
        is_another = bool(runs) and part.run not in runs
        missing = part.number - runs.get(part.run, 0) - 1
        runs[part.run] = max(part.number, runs.get(part.run, 0))
        notices = [ANOTHER_RUN] if is_another else []
        if missing > 0:
            notices.append(MISSING_PART if missing == 1 else MISSING_PARTS.format(missing))
        said = [Line(task_id=part.task_id, text=text, at=part.created_at, is_remark=True) for text in notices]
        return self.rest(of_tasks=lambda task_id: task_id == part.task_id) + said if said else []

    @property
    def begun(self) -> list[Line]:
        """The lines whose end has not come yet."""
        return [Line(task_id=run[0], text=begun.text, at=begun.at) for run, begun in self._open.items()]

    def rest(self, *, of_tasks: Callable[[str], bool] = lambda _task_id: True) -> list[Line]:
        """The last lines of those tasks, which had no line end."""
        lines = [line for line in self.begun if of_tasks(line.task_id)]
        self._open = {run: begun for run, begun in self._open.items() if not of_tasks(run[0])}
        return lines


@dataclass(kw_only=True)
class LogPrinter:
    """Writes lines to stdout as the flags ask."""

    name_of: Callable[[str], str]
    """The name of a task by its id, for the prefix and for `task`."""

    with_names: bool = False
    with_timestamps: bool = False
    containing: str = ""
    since: datetime | None = None
    task: str = ""
    output: OutputFormat = OutputFormat.TABLE
    assembler: LineAssembler = field(default_factory=LineAssembler)

    def show(self, part: TaskLogPart) -> None:
        """Write the lines that the part completes, or with JSON lines the part itself."""
        if self.output is OutputFormat.JSONL:
            if self._wants_part(part):
                stdout.write_document(part, self.output)
        elif self._shows_all_as_it_is:
            before, text = self.assembler.text(part)
            self.write(before)
            if text:
                stdout.write(text)
        else:
            self.write(self.assembler.lines(part))

    @property
    def _shows_all_as_it_is(self) -> bool:
        return not (self.with_names or self.with_timestamps or self.containing or self.since or self.task)

    def show_all(self, parts: Sequence[TaskLogPart], *, tail: int | None, is_whole: bool) -> None:
        """Write the last `tail` lines (with JSON: parts) of a log. `is_whole` when no part will follow."""
        if self.output in {OutputFormat.JSON, OutputFormat.JSONL, OutputFormat.YAML}:
            self._show_documents(_last([part for part in parts if self._wants_part(part)], tail))
            return
        lines: list[Line] = []
        previous: TaskLogPart | None = None
        for part in parts:
            if previous and previous.task_id != part.task_id:
                lines += self.assembler.rest()  # the log of a job comes task by task
            lines += self.assembler.lines(part)
            previous = part
        if is_whole:
            lines += self.assembler.rest()
        elif tail is not None:
            tail = self._without_begun_lines(tail)
        self._write_wanted(_last_lines(list(self.wanted(lines)), tail))

    def finish(self, *, of_tasks: Callable[[str], bool] = lambda _task_id: True) -> None:
        """Write what those tasks left without a line end."""
        self.write(self.assembler.rest(of_tasks=of_tasks))

    def wanted(self, lines: Iterable[Line]) -> Iterator[Line]:
        """The lines that the flags let through."""
        for line in lines:
            if self.since and line.at and line.at < self.since:
                continue
            if self.containing and self.containing not in line.text and not line.is_remark:
                continue
            if self.task and not self._is_of_task(line.task_id):
                continue
            yield line

    def write(self, lines: Iterable[Line]) -> None:
        """Write those of the lines that the flags let through."""
        self._write_wanted(self.wanted(lines))

    def _without_begun_lines(self, tail: int) -> int:
        """How many whole lines are left of the tail: a begun line is one of its lines and is written when it is whole."""
        if tail == 0:
            self.assembler.rest()
        return max(0, tail - len(list(self.wanted(self.assembler.begun))))

    def _write_wanted(self, lines: Iterable[Line]) -> None:
        color = stdout.uses_color()
        texts: list[str] = []
        for line in lines:
            if line.is_remark:
                _write_texts(texts)
                diagnostics.warning(f"task '{self.name_of(line.task_id)}': {line.text}")
                texts = []
            else:
                texts.append(f"{self._text(line, color)}\n")
        _write_texts(texts)

    def _show_documents(self, parts: Sequence[TaskLogPart]) -> None:
        if self.output is OutputFormat.JSONL:
            for part in parts:
                stdout.write_document(part, self.output)
        else:
            stdout.write_document(list(parts), self.output)

    def _wants_part(self, part: TaskLogPart) -> bool:
        line = Line(task_id=part.task_id, text=part.contents, at=part.created_at)
        return any(self.wanted([line]))

    def _is_of_task(self, task_id: str) -> bool:
        return self.task in {task_id, self.name_of(task_id)}

    def _text(self, line: Line, color: bool) -> str:
        text = line.text
        if self.with_names:
            text = painted(f"{self.name_of(line.task_id)} |", "2", color=color) + f" {text}"
        if self.with_timestamps:
            text = f"{painted(timestamp(line.at), '2', color=color)} {text}"
        return text


def _last(things: list[T], number: int | None) -> list[T]:
    return things if number is None else things[len(things) - min(number, len(things)) :]


def _last_lines(lines: list[Line], number: int | None) -> list[Line]:
    """The last of the lines that tasks printed, with the remarks between them."""
    printed = [index for index, line in enumerate(lines) if not line.is_remark]
    if number is None or number >= len(printed):
        return lines
    return lines[printed[-number] :] if number else []


def _write_texts(texts: Sequence[str]) -> None:
    if texts:
        stdout.write("".join(texts))
