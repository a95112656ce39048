"""A job's tasks as a tree of values: below a task its children and the tasks of its sub-job, each with its attempts in order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from torkctl.attempts import runs
from torkctl.client.documents import JobReport, TaskReport
from torkctl.nesting import sub_job_id


@dataclass(frozen=True, kw_only=True)
class Branch:
    """One run of a task, which of how many it is, and what is below it."""

    task: TaskReport
    number: int = 1
    of: int = 1
    sub_job: JobReport | None = None
    """The job that the task stands for, where it could be read."""

    children: Sequence[Branch] = ()

    @property
    def is_superseded(self) -> bool:
        """Whether another attempt came after it."""
        return self.number < self.of

    @property
    def state(self) -> str:
        """Its state, or nothing when the server said none."""
        return self.task.state.value if self.task.state else ""

    @property
    def kind(self) -> str:
        """`task`, or what it is made of: `parallel`, `each` or `subjob`."""
        made_of = {"parallel": self.task.parallel, "each": self.task.each, "subjob": self.task.subjob}
        return next((kind for kind, part in made_of.items() if part), "task")

    @property
    def ended_at(self) -> datetime | None:
        """When it ended, however it did."""
        return self.task.completed_at or self.task.failed_at


def branches(job: JobReport, sub_jobs: Mapping[str, JobReport]) -> list[Branch]:
    """The job's tasks in their order. Of `sub_jobs`, by their ids, those that tasks stand for are in it, each once."""
    return _Growth(sub_jobs=dict(sub_jobs)).of_job(job)


@dataclass(kw_only=True)
class _Growth:
    sub_jobs: dict[str, JobReport]
    children: defaultdict[str, list[TaskReport]] = field(default_factory=lambda: defaultdict(list))

    def of_job(self, job: JobReport) -> list[Branch]:
        known = {task.id for task in job.execution}
        top: list[TaskReport] = []
        for task in job.execution:
            (self.children[task.parent_id] if task.parent_id in known else top).append(task)
        return self.of_siblings(top)

    def of_siblings(self, tasks: Sequence[TaskReport]) -> list[Branch]:
        return [self.of_task(task, number, len(chain)) for chain in runs(tasks) for number, task in enumerate(chain, 1)]

    def of_task(self, task: TaskReport, number: int, of: int) -> Branch:
        below = self.of_siblings(_in_order_of_definition(task, self.children.get(task.id, [])))
        sub_job = self.sub_jobs.pop(sub_job_id(task), None)
        if sub_job:
            below += self.of_job(sub_job)
        return Branch(task=task, number=number, of=of, sub_job=sub_job, children=below)


def _in_order_of_definition(parent: TaskReport, children: Sequence[TaskReport]) -> Sequence[TaskReport]:
    """The API has children in the order in which they started."""
    if not parent.parallel:
        return children
    places = {task.name: place for place, task in reversed(list(enumerate(parent.parallel.tasks)))}
    return sorted(children, key=lambda child: places.get(child.name, len(places)))
