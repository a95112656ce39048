"""Asks the server for what an answer needs, and no more. What can't be had is told, and hinders nothing.

Invariant: only what was asked about itself must be there; whatever is around it is asked for once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

from tork.account import AuditEntry
from tork.errors import TorkError
from tork.job import JobState, JobSummary
from tork.node import Queue
from tork.task import TaskState
from torkctl.client.api import Api
from torkctl.client.documents import JobReport, TaskReport
from torkctl.client.patience import Patience
from torkctl.endings import SHORT_ID
from torkctl.nesting import sub_job_id, sub_job_ids
from torkctl.pipeline.plain_text import plain
from torkctl.reasons.decisive import decisive_below, decisive_task
from torkctl.reasons.facts import Evidence, Facts, Subject
from torkctl.references import Found

T = TypeVar("T")

_DEEPEST = 20
_MOST_SUB_JOBS = 5
_LOG_LINES = 10
_LONGEST_LINE = 500
_WAITING = {TaskState.CREATED, TaskState.PENDING, TaskState.SCHEDULED}
_CANCEL_TAKES = timedelta(minutes=10)
"""A request that is older than the end by more than this was not for it: the job was restarted meanwhile."""


def gather(api: Api, found: Found, now: datetime) -> Facts:
    """Everything that tells why the job or task is as it is. Raises `NotFound`."""
    return _Gathering(api, now).of_job(found.id) if found.is_job else _Gathering(api, now).of_task(found.id)


class _Gathering:
    def __init__(self, api: Api, now: datetime) -> None:
        self._api = api
        self._now = now
        self._unseen: list[Evidence] = []

    def of_job(self, job_id: str) -> Facts:
        job = self._api.job(job_id)
        queues = self._queues() if job.state.is_active else None
        subject = Subject(kind="job", id=job.id, name=job.name)
        return self._go_down(subject, job.state.value, job, decisive_task(job, queues), queues)

    def of_task(self, task_id: str) -> Facts:
        task = self._api.task(task_id)
        job = self._api.job(task.job_id)
        state = task.state.value if task.state else ""
        queues = self._queues() if task.state is not None and task.state.is_active else None
        subject = Subject(kind="task", id=task.id, name=task.name)
        return self._go_down(subject, state, job, decisive_below(job, task, queues), queues)

    def _go_down(
        self, subject: Subject, state: str, job: JobReport, task: TaskReport | None, queues: list[Queue] | None
    ) -> Facts:
        """From job to sub-job, as long as it is a sub-job that decides."""
        path: list[str] = []
        around: JobSummary | None = None
        while task is not None and task.state in {TaskState.FAILED, TaskState.RUNNING} and len(path) < _DEEPEST:
            below = self._sub_job(sub_job_id(task))
            if below is None:
                break
            path.append(task.name or task.id[:SHORT_ID])
            around, job = job, below
            task = decisive_task(job, queues)
        return self._with_surroundings(
            Facts(
                now=self._now,
                subject=subject,
                state=state,
                job=job,
                task=task,
                path=tuple(path),
                around=around,
                queues=queues,
            )
        )

    def _with_surroundings(self, facts: Facts) -> Facts:
        state = facts.task.state if facts.task else None
        if state in _WAITING or (facts.task is None and facts.job.state.is_active):
            nodes = self._ask("nodes", lambda: self._api.nodes(patience=_once()))
            facts = replace(facts, nodes=nodes, health=self._ask("the server's health", self._api.health))
        elif facts.task is not None and state is TaskState.RUNNING:
            nodes = self._ask("nodes", lambda: self._api.nodes(patience=_once()))
            facts = replace(facts, nodes=nodes, log_tail=self._log_tail(facts.task.id))
        elif facts.task is not None and state is TaskState.FAILED:
            facts = replace(facts, log_tail=self._log_tail(facts.task.id))
        elif facts.job.state is JobState.CANCELLED or state is TaskState.CANCELLED:
            facts = self._with_cancellations(facts)
        return replace(facts, unseen=tuple(self._unseen))

    def _with_cancellations(self, facts: Facts) -> Facts:
        job = facts.job
        above = self._jobs_above(job)
        around = above[0] if above else None
        if job.state is not JobState.CANCELLED:
            return replace(facts, around=around)
        targets = [job.id, *(one.id for one in above), *sub_job_ids(job)[-_MOST_SUB_JOBS:]]
        acts = self._ask("who cancelled it", lambda: self._acts(targets))
        if acts is not None and job.failed_at is not None:
            earliest = job.failed_at - _CANCEL_TAKES
            acts = [act for act in acts if act.at >= earliest]
        return replace(facts, around=around, cancellations=acts)

    def _sub_job(self, job_id: str) -> JobReport | None:
        return (
            self._ask(f"job {job_id[:SHORT_ID]}", lambda: self._api.job(job_id, patience=_once())) if job_id else None
        )

    def _jobs_above(self, job: JobSummary) -> list[JobSummary]:
        """Those that it is a sub-job of, the nearest first."""
        found: list[JobSummary] = []
        lowest: JobSummary | None = job
        while lowest is not None and lowest.parent_id and len(found) < _DEEPEST:
            lowest = self._job_of(lowest.parent_id)
            found += [lowest] if lowest else []
        return found

    def _job_of(self, task_id: str) -> JobSummary | None:
        def ask() -> JobSummary:
            task = self._api.task(task_id, patience=_once())
            return self._api.job_summary(task.job_id, patience=_once())

        return self._ask("the job around it", ask)

    def _acts(self, targets: list[str]) -> list[AuditEntry]:
        """Requests to cancel, the latest first; those that were refused are not written down."""
        found = [act for target in targets for act in self._api.acts(target, "job.cancel", patience=_once())]
        return sorted(found, key=lambda act: act.at, reverse=True)

    def _queues(self) -> list[Queue] | None:
        return self._ask("queues", lambda: self._api.queues(patience=_once()))

    def _log_tail(self, task_id: str) -> tuple[str, ...]:
        page = self._ask("its log", lambda: self._api.log_page(f"/tasks/{task_id}", page=1, patience=_once()))
        if page is None:
            return ()
        lines = [line for line in plain("".join(part.contents for part in reversed(page.items))).splitlines() if line]
        return tuple(line[:_LONGEST_LINE] for line in lines[-_LOG_LINES:])

    def _ask(self, what: str, ask: Callable[[], T]) -> T | None:
        try:
            return ask()
        except TorkError as error:
            self._unseen.append(Evidence(about=what, says=f"can't be seen: {error}"))
            return None


def _once() -> Patience:
    return Patience(window_seconds=0)
