"""Makes spans of jobs and tasks that have ended, in a thread of its own, from what is stored of them.

Whoever committed never waits for it. Secrets are read before everything else: a job that is still there after
that had them all.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import assert_never

from tork.errors import Unavailable
from tork.task import TaskState
from torkd.coordinator.afterwards import MOST_WAITING, Afterwards
from torkd.coordinator.handle import Handled
from torkd.datastore.protocol import Beginning, Datastore
from torkd.engine.rows import JobRow, TaskRow
from torkd.hooks.redact import Redactor
from torkd.tracing.protocol import Tracing
from torkd.tracing.span import Span, place_of

log = logging.getLogger(__name__)

Ended = JobRow | TaskRow
_ENDS_OF_RUNS = frozenset(state for state in TaskState if not state.is_active) - {TaskState.SKIPPED}


class Traces:
    """A queue and its thread. `committed` may be called from any thread, started or not."""

    def __init__(
        self, datastore: Datastore, tracing: Tracing, redactor: Redactor, *, most_waiting: int = MOST_WAITING
    ) -> None:
        self._datastore = datastore
        self._tracing = tracing
        self._redactor = redactor
        self._afterwards: Afterwards[Ended] = Afterwards(
            "traces",
            self._trace,
            dropped="more jobs and tasks end than can be traced: %s have no span",
            most_waiting=most_waiting,
        )

    def start(self) -> None:
        """Begin, once."""
        self._afterwards.start()

    def close(self, seconds: float) -> None:
        """Tell of what waits, for so long, and end."""
        self._afterwards.close(seconds)

    def committed(self, handled: Handled) -> None:
        """A batch was committed."""
        view = handled.view
        ended: list[Ended] = [
            job for before, job in view.job_moves if before.state.is_active and not job.state.is_active
        ]
        ended += [task for before, task in view.task_moves if before.state.is_active and task.state in _ENDS_OF_RUNS]
        self._afterwards.add(ended)

    def _trace(self, ended: Sequence[Ended]) -> None:
        try:
            self._tell(ended)
        except Unavailable as error:
            log.warning("%s; some jobs and tasks have no span", error)

    def _tell(self, ended: Sequence[Ended]) -> None:
        ended = [row for row in ended if self._tracing.samples(place_of(row.root_id, row.id).trace_id)]
        if not ended:
            return
        jobs = {row.id if isinstance(row, JobRow) else row.job_id for row in ended}
        secrets = self._datastore.secrets_of_each(jobs)
        beginnings = self._datastore.beginnings(jobs, {row.id for row in ended if isinstance(row, TaskRow)})
        for row in ended:
            began = beginnings.get(row.id)
            if began is None:
                continue  # it is gone, and what has to be hidden with it
            match row:
                case JobRow():
                    self._tracing.add(self._span_of_job(row, began, secrets.get(row.id, {})))
                case TaskRow():
                    if began.started_at is not None and row.job_id in beginnings:
                        self._tracing.add(self._span_of_task(row, began, began.started_at, secrets.get(row.job_id, {})))
                case _:
                    assert_never(row)

    def _span_of_job(self, job: JobRow, began: Beginning, secrets: Mapping[str, str]) -> Span:
        hide = self._redactor.redact_text
        name = hide(job.name, secrets.values())
        waited = (
            {} if began.started_at is None else {"tork.job.wait_seconds": _seconds(began.created_at, began.started_at)}
        )
        return Span(
            name=name or "job",
            place=place_of(job.root_id, job.id),
            parent=place_of(job.root_id, job.parent_task_id) if job.parent_task_id else None,
            began_at=began.created_at,
            ended_at=job.completed_at or job.failed_at or began.started_at or began.created_at,
            attributes={"tork.job.id": job.id, "tork.job.name": name, "tork.job.state": job.state.value, **waited},
            error=hide(job.error or "", secrets.values()) if job.state == "FAILED" else None,
        )

    def _span_of_task(self, task: TaskRow, began: Beginning, started_at: datetime, secrets: Mapping[str, str]) -> Span:
        hide = self._redactor.redact_text
        name = hide(task.name, secrets.values())
        attributes: dict[str, str | int | float] = {
            "tork.job.id": task.job_id,
            "tork.task.id": task.id,
            "tork.task.name": name,
            "tork.task.kind": task.kind.value,
            "tork.task.state": task.state.value,
            "tork.task.attempts": task.attempts,
            "tork.task.redelivered": task.redelivered,
        }
        if task.queue:
            attributes["tork.task.queue"] = hide(task.queue, secrets.values())
        if task.node_id:
            attributes["tork.node.id"] = task.node_id
        if began.scheduled_at is not None:
            attributes["tork.task.queue_seconds"] = _seconds(began.scheduled_at, started_at)
        return Span(
            name=name or "task",
            place=place_of(task.root_id, task.id),
            parent=place_of(task.root_id, task.parent_id or task.job_id),
            began_at=started_at,
            ended_at=task.completed_at or task.failed_at or started_at,
            attributes=attributes,
            error=hide(task.error or "", secrets.values()) if task.state == "FAILED" else None,
        )


def _seconds(since: datetime, until: datetime) -> float:
    """By clocks of two machines, which may differ."""
    return max((until - since).total_seconds(), 0.0)
