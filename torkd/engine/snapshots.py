"""A job and a task as they were right after a change, for whoever is told of it later, when they may have gone on."""

from __future__ import annotations

from msgspec.structs import replace

from tork.job import JobSummary
from tork.task import TaskSummary
from tork.wire import whole
from torkd.engine.rows import JobRow, TaskRow


def job_as_of(known: JobSummary, row: JobRow) -> JobSummary:
    """The job as the row says it was; what the row does not tell is as known."""
    return replace(
        known,
        state=row.state,
        position=row.position,
        progress=whole(row.progress),
        started_at=row.started_at,
        completed_at=row.completed_at,
        failed_at=row.failed_at,
        error=known.error if row.error is None else row.error,
        result=known.result if row.result is None else row.result,
    )


def task_as_of(known: TaskSummary, row: TaskRow) -> TaskSummary:
    """The task as the row says it was; what the row does not tell is as known."""
    return replace(
        known,
        id=row.id,
        job_id=row.job_id,
        parent_id=row.parent_id or "",
        position=row.position,
        progress=whole(row.progress),
        name=row.name,
        state=row.state,
        created_at=row.created_at or known.created_at,
        scheduled_at=row.scheduled_at or known.scheduled_at,
        started_at=row.started_at or known.started_at,
        completed_at=row.completed_at or known.completed_at,
        failed_at=row.failed_at or known.failed_at,
        error=known.error if row.error is None else row.error,
        result=known.result if row.result is None else row.result,
        var=row.var,
        node_id=row.node_id or "",
        attempts=row.attempts,
        reason=known.reason if row.reason is None else row.reason,
    )
