"""A job as a tree: its tasks in their order, the children of parallel and each below them, state and duration."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from torkctl.client.documents import JobReport, TaskReport
from torkctl.output.tables import cell, painted, state_text
from torkctl.output.times import span

_MOST_CHILDREN = 50
"""An each over thousands is summed up beyond this; what failed is shown first."""

_NOTEWORTHY_FIRST = {"FAILED": 0, "RUNNING": 1, "SCHEDULED": 2, "PENDING": 2, "CREATED": 2, "CANCELLED": 3}
_LONGEST_ERROR = 200


def tree_lines(job: JobReport, *, color: bool) -> list[str]:
    """The tree, a line a node, the job first."""
    children: defaultdict[str, list[TaskReport]] = defaultdict(list)
    known = {task.id for task in job.execution}
    for task in job.execution:
        children[task.parent_id if task.parent_id in known else ""].append(task)
    ended = job.completed_at or job.failed_at
    duration = span(job.started_at, ended or (datetime.now(UTC) if job.state.is_active else None))
    title = painted(cell(job.name or job.id), "1", color=color)
    lines = [_joined([title, state_text(job.state.value, color=color), duration])]
    lines += _branches(children[""], children, "", color)
    return lines


def _branches(
    tasks: Sequence[TaskReport], children: Mapping[str, list[TaskReport]], indent: str, color: bool
) -> Iterator[str]:
    shown = _chosen(tasks)
    rest = _rest_text(tasks, shown)
    for index, task in enumerate(shown):
        is_last = index == len(shown) - 1 and not rest
        yield indent + ("└── " if is_last else "├── ") + _task_line(task, color)
        yield from _branches(children.get(task.id, ()), children, indent + ("    " if is_last else "│   "), color)
    if rest:
        yield f"{indent}└── {rest}"


def _chosen(tasks: Sequence[TaskReport]) -> Sequence[TaskReport]:
    if len(tasks) <= _MOST_CHILDREN:
        return tasks
    chosen = sorted(tasks, key=lambda task: _NOTEWORTHY_FIRST.get(task.state or "", 9))[:_MOST_CHILDREN]
    kept = {task.id for task in chosen}
    return [task for task in tasks if task.id in kept]


def _rest_text(tasks: Sequence[TaskReport], shown: Sequence[TaskReport]) -> str:
    if len(tasks) == len(shown):
        return ""
    states = Counter(task.state or "" for task in tasks)
    states.subtract(task.state or "" for task in shown)
    return "… and " + ", ".join(f"{count} more {state}" for state, count in states.items() if count)


def _task_line(task: TaskReport, color: bool) -> str:
    state = task.state.value if task.state else ""
    ended = task.completed_at or task.failed_at
    duration = span(task.started_at, ended or (datetime.now(UTC) if state == "RUNNING" else None))
    parts = [cell(task.name or f"#{task.position}"), _kind(task), state_text(state, color=color), duration]
    if task.retry and task.retry.attempts:
        parts.append(f"(attempt {task.retry.attempts + 1})")
    if task.error:
        parts.append(painted(_one_line(task.error), "31", color=color))
    return _joined(parts)


def _kind(task: TaskReport) -> str:
    if task.parallel:
        return "[parallel]"
    if task.each:
        return f"[each {task.each.completions}/{task.each.size}]"
    if task.subjob:
        return f"[subjob {task.subjob.id}]" if task.subjob.id else "[subjob]"
    return ""


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_ERROR else line[: _LONGEST_ERROR - 1] + "…"


def _joined(parts: Sequence[str]) -> str:
    return "  ".join(part for part in parts if part and part != "-")
