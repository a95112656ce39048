"""A job as cases of a test report: one a task, at any depth, and one for the job itself where its tasks don't tell its end.

Invariant: a job that did not come to COMPLETED has at least one case that failed or is an error.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from tork.job import JobState
from tork.task import TaskState
from torkctl.attempts import runs
from torkctl.client.documents import JobReport, TaskReport
from torkctl.error_line import error_line
from torkctl.nesting import sub_job_id
from torkctl.pipeline.plain_text import plain

_LONGEST_MESSAGE = 400
_PASSED = {TaskState.COMPLETED}


class Ending(StrEnum):
    """What a case came to. An error is what says nothing about the thing that was tested."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    SKIPPED = "skipped"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One task with its last run, or the job itself, which has no `task`."""

    name: str
    ending: Ending
    state: str
    message: str = ""
    task: TaskReport | None = None
    earlier: Sequence[TaskReport] = ()
    """The runs before the last one."""

    @property
    def seconds(self) -> float:
        """How long the last run took; nothing when it had no end."""
        return _seconds(self.task.started_at, self.task.completed_at or self.task.failed_at) if self.task else 0.0


@dataclass(frozen=True, kw_only=True)
class JobCases:
    """One job and its cases, in the order of its tree."""

    job_id: str
    name: str
    state: str
    """The job's state; `UNKNOWN` when the server never told."""

    seconds: float = 0.0
    started_at: datetime | None = None
    cases: Sequence[Case] = field(default_factory=list)

    def count(self, ending: Ending) -> int:
        """How many cases came to that."""
        return sum(case.ending is ending for case in self.cases)


def cases_of(job: JobReport, sub_jobs: Mapping[str, JobReport], *, unfinished: str = "") -> JobCases:
    """The cases. `unfinished` says why the wait ended before the job, if it did."""
    cases = list(_Walk(dict(sub_jobs)).of_job(job, ""))
    cases += _not_begun(job)
    cases += _own_case(job, cases, unfinished)
    return JobCases(
        job_id=job.id,
        name=job.name,
        state=job.state.value,
        seconds=_seconds(job.started_at, job.completed_at or job.failed_at),
        started_at=job.started_at or job.created_at,
        cases=cases,
    )


def unknown_cases(job_id: str, *, name: str = "", state: str = "UNKNOWN", unfinished: str) -> JobCases:
    """What there is to say of a job that can't be read."""
    message = error_line(plain(unfinished), _LONGEST_MESSAGE)
    case = Case(name="(job)", ending=Ending.ERROR, state=state, message=message)
    return JobCases(job_id=job_id, name=name, state=state, cases=[case])


@dataclass(kw_only=True)
class _Chain:
    """The runs of one task, under the name it has among its siblings."""

    name: str
    tasks: list[TaskReport]


class _Walk:
    def __init__(self, sub_jobs: dict[str, JobReport]) -> None:
        self._sub_jobs = sub_jobs
        self._children: defaultdict[str, list[TaskReport]] = defaultdict(list)

    def of_job(self, job: JobReport, path: str) -> Iterator[Case]:
        known = {task.id for task in job.execution}
        top: list[TaskReport] = []
        for task in job.execution:
            (self._children[task.parent_id] if task.parent_id in known else top).append(task)
        yield from self._of_siblings(top, path)

    def _of_siblings(self, tasks: Sequence[TaskReport], path: str) -> Iterator[Case]:
        for chain in _named(runs(tasks)):
            yield from self._of_chain(chain.tasks, path + chain.name)

    def _of_chain(self, chain: Sequence[TaskReport], path: str) -> Iterator[Case]:
        last = chain[-1]
        inner = list(self._of_siblings(self._children.get(last.id, ()), f"{path}/"))
        job = self._sub_jobs.pop(sub_job_id(last), None)
        if job:
            inner += self.of_job(job, f"{path}/")
        yield from inner
        # A parent is told by what is in it, but for a failure that none of those has.
        has_own = last.state is TaskState.FAILED and all(case.ending is not Ending.FAILED for case in inner)
        if not inner or has_own:
            yield _case(path, chain)


def _named(chains: Sequence[list[TaskReport]]) -> list[_Chain]:
    names = [chain[-1].name or f"#{chain[-1].position}" for chain in chains]
    counts, seen = Counter(names), Counter[str]()
    named: list[_Chain] = []
    for name, chain in zip(names, chains, strict=True):
        seen[name] += 1
        named.append(_Chain(name=f"{name} ({seen[name]})" if counts[name] > 1 else name, tasks=chain))
    return named


def _case(path: str, chain: Sequence[TaskReport]) -> Case:
    task = chain[-1]
    state = task.state.value if task.state else ""
    message = error_line(plain(task.error), _LONGEST_MESSAGE)
    ending = Ending.SKIPPED
    if task.state in _PASSED:
        ending = Ending.PASSED
    elif task.state is TaskState.FAILED:
        ending, message = Ending.FAILED, message or "failed"
    elif task.state is None or task.state.is_active:
        message = f"{state or 'CREATED'} when the wait ended"
    else:
        message = message or state.lower()
    return Case(name=path, ending=ending, state=state, message=message, task=task, earlier=chain[:-1])


def _not_begun(job: JobReport) -> list[Case]:
    begun = {task.position for task in job.execution}
    return [
        Case(name=task.name or f"#{place}", ending=Ending.SKIPPED, state="", message="did not run")
        for place, task in enumerate(job.tasks, 1)
        if place not in begun
    ]


def _own_case(job: JobReport, cases: Sequence[Case], unfinished: str) -> list[Case]:
    name, state = "(job)", job.state.value
    if unfinished:
        return [Case(name=name, ending=Ending.ERROR, state=state, message=unfinished)]
    if job.state is JobState.CANCELLED:
        return [Case(name=name, ending=Ending.ERROR, state=state, message="the job was cancelled")]
    if job.state is JobState.FAILED and all(case.ending is not Ending.FAILED for case in cases):
        message = error_line(plain(job.error), _LONGEST_MESSAGE) or "the job failed"
        return [Case(name=name, ending=Ending.FAILED, state=state, message=message)]
    if not cases:
        return [Case(name=name, ending=Ending.PASSED, state=state)]
    return []


def _seconds(start: datetime | None, end: datetime | None) -> float:
    return max(0.0, (end - start).total_seconds()) if start and end else 0.0
