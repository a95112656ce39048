"""A job as a tree: its tasks in their order, below them the children of parallel and each and the tasks of sub-jobs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from torkctl.branches import Branch, branches
from torkctl.client.documents import Composite, JobReport, TaskReport
from torkctl.endings import SHORT_ID
from torkctl.error_line import error_line
from torkctl.output.tables import cell, painted, state_text
from torkctl.output.times import span

_MOST_CHILDREN = 50
"""An each over thousands is summed up beyond this; what failed is shown first."""

_NOTEWORTHY_FIRST = {"FAILED": 0, "RUNNING": 1, "SCHEDULED": 2, "PENDING": 2, "CREATED": 2, "CANCELLED": 3}
_ORDINARY = 9
_LONGEST_ERROR = 200
_DIMMED = "2"

_NO_JOBS: Mapping[str, JobReport] = {}


def tree_lines(
    job: JobReport,
    *,
    color: bool,
    sub_jobs: Mapping[str, JobReport] = _NO_JOBS,
    with_ids: bool = False,
    places: Mapping[str, str] | None = None,
) -> list[str]:
    """The tree, a line a node, the job first. Of `sub_jobs`, by their ids, those that its tasks stand for are in it.

    With `places`, the names of nodes by their ids, it also says where tasks run, or wait.
    """
    ended = job.completed_at or job.failed_at
    duration = span(job.started_at, ended or (datetime.now(UTC) if job.state.is_active else None))
    title = painted(cell(job.name or job.id), "1", color=color)
    first = _joined([title, state_text(job.state.value, color=color), duration])
    return [first, *_Tree(color=color, with_ids=with_ids, places=places).lines(branches(job, sub_jobs), "")]


@dataclass(frozen=True, kw_only=True)
class _Tree:
    color: bool
    with_ids: bool
    places: Mapping[str, str] | None

    def lines(self, siblings: Sequence[Branch], indent: str) -> Iterator[str]:
        shown = _chosen(siblings)
        rest = _rest_text(siblings, shown)
        for index, branch in enumerate(shown):
            is_last = index == len(shown) - 1 and not rest
            yield indent + ("└── " if is_last else "├── ") + self.line(branch)
            yield from self.lines(branch.children, indent + ("    " if is_last else "│   "))
        if rest:
            yield f"{indent}└── {rest}"

    def line(self, branch: Branch) -> str:
        task, color = branch.task, self.color and not branch.is_superseded
        now = datetime.now(UTC) if branch.state == "RUNNING" else None
        parts = [
            cell(task.name or f"#{task.position}"),
            task.id if self.with_ids else "",
            self.kind(branch),
            state_text(branch.state, color=color),
            span(task.started_at, branch.ended_at or now),
            self.place(task, branch.state),
            f"(attempt {branch.number} of {branch.of})" if branch.of > 1 else "",
            painted(error_line(task.error, _LONGEST_ERROR), "31", color=color),
            error_line(task.reason, _LONGEST_ERROR),
        ]
        return painted(_joined(parts), _DIMMED, color=self.color and branch.is_superseded)

    def place(self, task: TaskReport, state: str) -> str:
        if self.places is None:
            return ""
        if state == "SCHEDULED" and task.queue:
            return f"in queue {cell(task.queue)}"
        node = task.node_id if self.with_ids else self.places.get(task.node_id, task.node_id[:SHORT_ID])
        return f"on {cell(node)}" if node else ""

    def kind(self, branch: Branch) -> str:
        task = branch.task
        if task.parallel:
            return f"[parallel{_failures_text(task.parallel)}]"
        if task.each:
            return f"[each {task.each.completions}/{task.each.size}{_failures_text(task.each)}]"
        if task.subjob:
            kind = "detached subjob" if task.subjob.detached else "subjob"
            is_shown = branch.sub_job is not None and not self.with_ids
            return f"[{kind}]" if is_shown or not task.subjob.id else f"[{kind} {task.subjob.id}]"
        return ""


def _failures_text(composite: Composite) -> str:
    return f", {composite.failures} failed" if composite.failures else ""


def _rank(branch: Branch) -> int:
    return _ORDINARY if branch.is_superseded else _NOTEWORTHY_FIRST.get(branch.state, _ORDINARY)


def _chosen(siblings: Sequence[Branch]) -> Sequence[Branch]:
    if len(siblings) <= _MOST_CHILDREN:
        return siblings
    kept = {branch.task.id for branch in sorted(siblings, key=_rank)[:_MOST_CHILDREN]}
    return [branch for branch in siblings if branch.task.id in kept]


def _rest_text(siblings: Sequence[Branch], shown: Sequence[Branch]) -> str:
    if len(siblings) == len(shown):
        return ""
    states = Counter(branch.state for branch in siblings)
    states.subtract(branch.state for branch in shown)
    return "… and " + ", ".join(f"{count} more {state}" for state, count in states.items() if count)


def _joined(parts: Sequence[str]) -> str:
    return "  ".join(part for part in parts if part and part != "-")
