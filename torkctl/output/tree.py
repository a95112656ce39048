"""A job as a tree: its tasks in their order, below them the children of parallel and each and the tasks of sub-jobs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from torkctl.attempts import runs
from torkctl.client.documents import Composite, JobReport, TaskReport
from torkctl.error_line import error_line
from torkctl.nesting import sub_job_id
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
    job: JobReport, *, color: bool, sub_jobs: Mapping[str, JobReport] = _NO_JOBS, with_ids: bool = False
) -> list[str]:
    """The tree, a line a node, the job first. Of `sub_jobs`, by their ids, those that its tasks stand for are in it."""
    ended = job.completed_at or job.failed_at
    duration = span(job.started_at, ended or (datetime.now(UTC) if job.state.is_active else None))
    title = painted(cell(job.name or job.id), "1", color=color)
    first = _joined([title, state_text(job.state.value, color=color), duration])
    return [first, *_Tree(sub_jobs=dict(sub_jobs), color=color, with_ids=with_ids).branches_of(job, "")]


@dataclass(frozen=True, kw_only=True)
class _Node:
    """One run of a task, and which of how many it is."""

    task: TaskReport
    number: int = 1
    of: int = 1

    @property
    def is_superseded(self) -> bool:
        return self.number < self.of

    @property
    def state(self) -> str:
        return self.task.state.value if self.task.state else ""

    @property
    def rank(self) -> int:
        return _ORDINARY if self.is_superseded else _NOTEWORTHY_FIRST.get(self.state, _ORDINARY)


@dataclass(kw_only=True)
class _Tree:
    sub_jobs: dict[str, JobReport]
    color: bool
    with_ids: bool
    children: defaultdict[str, list[TaskReport]] = field(default_factory=lambda: defaultdict(list))

    def branches_of(self, job: JobReport, indent: str) -> Iterator[str]:
        known = {task.id for task in job.execution}
        top: list[TaskReport] = []
        for task in job.execution:
            (self.children[task.parent_id] if task.parent_id in known else top).append(task)
        yield from self.branches(top, indent)

    def branches(self, tasks: Sequence[TaskReport], indent: str) -> Iterator[str]:
        nodes = [
            _Node(task=task, number=number, of=len(chain))
            for chain in runs(tasks)
            for number, task in enumerate(chain, 1)
        ]
        shown = _chosen(nodes)
        rest = _rest_text(nodes, shown)
        for index, node in enumerate(shown):
            is_last = index == len(shown) - 1 and not rest
            yield indent + ("└── " if is_last else "├── ") + self.line(node)
            yield from self.below(node.task, indent + ("    " if is_last else "│   "))
        if rest:
            yield f"{indent}└── {rest}"

    def below(self, task: TaskReport, indent: str) -> Iterator[str]:
        yield from self.branches(_in_order_of_definition(task, self.children.get(task.id, [])), indent)
        job = self.sub_jobs.pop(sub_job_id(task), None)
        if job:
            yield from self.branches_of(job, indent)

    def line(self, node: _Node) -> str:
        task, color = node.task, self.color and not node.is_superseded
        ended = task.completed_at or task.failed_at
        parts = [
            cell(task.name or f"#{task.position}"),
            task.id if self.with_ids else "",
            self.kind(task),
            state_text(node.state, color=color),
            span(task.started_at, ended or (datetime.now(UTC) if node.state == "RUNNING" else None)),
            f"(attempt {node.number} of {node.of})" if node.of > 1 else "",
            painted(error_line(task.error, _LONGEST_ERROR), "31", color=color),
            error_line(task.reason, _LONGEST_ERROR),
        ]
        return painted(_joined(parts), _DIMMED, color=self.color and node.is_superseded)

    def kind(self, task: TaskReport) -> str:
        if task.parallel:
            return f"[parallel{_failures_text(task.parallel)}]"
        if task.each:
            return f"[each {task.each.completions}/{task.each.size}{_failures_text(task.each)}]"
        if task.subjob:
            kind = "detached subjob" if task.subjob.detached else "subjob"
            is_shown = task.subjob.id in self.sub_jobs and not self.with_ids
            return f"[{kind}]" if is_shown or not task.subjob.id else f"[{kind} {task.subjob.id}]"
        return ""


def _failures_text(composite: Composite) -> str:
    return f", {composite.failures} failed" if composite.failures else ""


def _in_order_of_definition(parent: TaskReport, children: Sequence[TaskReport]) -> Sequence[TaskReport]:
    """The API has children in the order in which they started."""
    if not parent.parallel:
        return children
    places = {task.name: place for place, task in reversed(list(enumerate(parent.parallel.tasks)))}
    return sorted(children, key=lambda child: places.get(child.name, len(places)))


def _chosen(nodes: Sequence[_Node]) -> Sequence[_Node]:
    if len(nodes) <= _MOST_CHILDREN:
        return nodes
    chosen = sorted(nodes, key=lambda node: node.rank)[:_MOST_CHILDREN]
    kept = {node.task.id for node in chosen}
    return [node for node in nodes if node.task.id in kept]


def _rest_text(nodes: Sequence[_Node], shown: Sequence[_Node]) -> str:
    if len(nodes) == len(shown):
        return ""
    states = Counter(node.state for node in nodes)
    states.subtract(node.state for node in shown)
    return "… and " + ", ".join(f"{count} more {state}" for state, count in states.items() if count)


def _joined(parts: Sequence[str]) -> str:
    return "  ".join(part for part in parts if part and part != "-")
