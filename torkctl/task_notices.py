"""What is said of tasks while they go on: a line when one begins and one when it ends, and less where there are many.

Invariant: however wide a job is, the number of lines and of questions to the server stays small.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tork.errors import TorkError
from tork.task import TaskState, TaskSummary
from torkctl import diagnostics
from torkctl.attempts import has_retry_left, retry_delay_seconds
from torkctl.client import Api
from torkctl.client.documents import Attempts, TaskReport
from torkctl.endings import SHORT_ID
from torkctl.output.times import short_seconds, span

_TOLD_ENDINGS = {TaskState.COMPLETED, TaskState.FAILED, TaskState.SKIPPED, TaskState.CANCELLED, TaskState.STOPPED}
_WELL_ENDED = {TaskState.COMPLETED, TaskState.SKIPPED}
_MANY_STEPS = 200
"""Of further tasks of a job only failures are told."""

_MANY_CHILDREN = 20
"""Of more children than this their parent's progress is told instead, in so many lines at most, and failures."""

_MOST_QUESTIONS = 100
"""How often the server is asked about tasks that failed or have children."""

_LONGEST_ERROR = 200


@dataclass(kw_only=True)
class _Children:
    """The children of one each or parallel."""

    name: str
    size: int
    ended: set[str] = field(default_factory=set)


@dataclass(kw_only=True)
class TaskNotices:
    """The notices of one run of torkctl. `name_of` says what a task is called in them."""

    api: Api
    name_of: Callable[[TaskSummary], str]
    _states: dict[str, TaskState | None] = field(default_factory=dict)
    _steps: set[str] = field(default_factory=set)
    _children: dict[str, _Children | None] = field(default_factory=dict)
    _questions: int = 0

    def of(self, task: TaskSummary) -> list[str]:
        """What is to be said now that the task is so."""
        if self._states.get(task.id) is task.state:
            return []
        self._states[task.id] = task.state
        told = self._children_text(task) if task.parent_id else ""
        text = told or (self._text(task) if self._is_notable(task) else "")
        return [text] if text else []

    def _is_notable(self, task: TaskSummary) -> bool:
        if task.state is TaskState.FAILED:
            return True
        if task.parent_id:
            children = self._children.get(task.parent_id)
            return children is not None and children.size <= _MANY_CHILDREN and task.state is not TaskState.RUNNING
        self._steps.add(task.id)
        return len(self._steps) <= _MANY_STEPS

    def _text(self, task: TaskSummary) -> str:
        name = self.name_of(task)
        if task.state is TaskState.RUNNING:
            return f"task '{name}' RUNNING{self._retry_text(task)}"
        if task.state not in _TOLD_ENDINGS:
            return ""
        duration = span(task.started_at, task.completed_at or task.failed_at)
        after = f" after {duration}" if duration != "-" else ""
        return f"task '{name}' {task.state.value if task.state else ''}{after}{self._next_run_text(task)}"

    def _retry_text(self, task: TaskSummary) -> str:
        report = self._ask(task.id) if task.attempts else None
        return f", retry {task.attempts} of {report.retry.limit}" if report and report.retry else ""

    def _next_run_text(self, task: TaskSummary) -> str:
        report = self._ask(task.id) if task.state is TaskState.FAILED else None
        if report is None or report.retry is None or not has_retry_left(report):
            return ""
        retry: Attempts = report.retry
        error = " ".join(task.error.split())
        reason = f": {error[:_LONGEST_ERROR]}" if error else ""
        delay = short_seconds(retry_delay_seconds(retry))
        return f", retry {retry.attempts + 1} of {retry.limit} in {delay}{reason}"

    def _children_text(self, task: TaskSummary) -> str:
        """How far the parent of many is, when that is another tenth."""
        if task.parent_id not in self._children:
            self._children[task.parent_id] = _children_of(self._ask(task.parent_id))
        children = self._children[task.parent_id]
        if children is None or children.size <= _MANY_CHILDREN or task.state not in _WELL_ENDED:
            return ""
        tenth = len(children.ended) * 10 // children.size
        children.ended.add(task.id)
        count = len(children.ended)
        return f"task '{children.name}' {count}/{children.size}" if count * 10 // children.size > tenth else ""

    def _ask(self, task_id: str) -> TaskReport | None:
        if self._questions >= _MOST_QUESTIONS:
            return None
        self._questions += 1
        try:
            return self.api.task(task_id)
        except TorkError as error:
            diagnostics.detail(f"task {task_id} can't be read: {error}")
            return None


def _children_of(parent: TaskReport | None) -> _Children | None:
    if parent is None:
        return None
    size = parent.each.size if parent.each else len(parent.parallel.tasks) if parent.parallel else 0
    return _Children(name=parent.name or parent.id[:SHORT_ID], size=size)
