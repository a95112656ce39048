"""From rows to jobs. Empty columns become empty fields, which the JSON leaves out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tork.account import User
from tork.job import Defaults, Job, JobContext, JobState, JobSummary, ScheduleReference
from tork.task import AutoDelete, Task, TaskDefinition, WebhookDefinition
from tork.wire import StoredDecoder, as_utc, whole
from torkd.datastore.postgres.querying import Row, moment

_STEP = StoredDecoder(TaskDefinition)
_DEFAULTS = StoredDecoder(Defaults)
_WEBHOOKS = StoredDecoder(list[WebhookDefinition])


def read_summary(row: Row) -> JobSummary:
    """A row of `get_summaries`."""
    return JobSummary(**_of_both(row), inputs=row["inputs"] or {})


def read_full_job(row: Row, steps: Iterable[Row], values: Iterable[Row], execution: Sequence[Task]) -> Job:
    """A row of `get_job` with the rows of `get_steps` and `get_context`."""
    context = _context(row, values)
    return Job(
        **_of_both(row),
        tasks=[_STEP.decode(step["spec"]) for step in steps],
        execution=list(execution),
        inputs=context.inputs,
        secrets=context.secrets,
        context=context,
        output=row["output"],
        defaults=_DEFAULTS.decode(row["defaults"]) if row["defaults"] else None,
        webhooks=_WEBHOOKS.decode(row["webhooks"]) if row["webhooks"] else [],
        auto_delete=AutoDelete(after=row["auto_delete"]) if row["auto_delete"] else None,
        delete_at=moment(row["delete_at"]),
    )


def _of_both(row: Row) -> dict[str, Any]:
    """What a job and its summary have in common. The parent of a sub-job is the task that waits for it."""
    return {
        "id": row["id"],
        "parent_id": row["parent_task_id"] or "",
        "name": row["name"],
        "description": row["description"],
        "tags": row["tags"],
        "state": JobState(row["state"]),
        "created_by": read_user(row),
        "created_at": as_utc(row["created_at"]),
        "started_at": moment(row["started_at"]),
        "completed_at": moment(row["completed_at"]),
        "failed_at": moment(row["failed_at"]),
        "position": row["position"],
        "task_count": row["task_count"],
        "result": row["result"] or "",
        "error": row["error"] or "",
        "progress": whole(row["progress"]),
        "schedule": _schedule(row),
    }


def read_user(row: Row) -> User | None:
    """Whoever made it, of the columns of `users` in a row."""
    if row["user_id"] is None:
        return None
    return User(
        id=row["user_id"],
        name=row["user_name"],
        username=row["username"],
        created_at=moment(row["user_created_at"]),
        disabled=row["user_disabled"],
    )


def _schedule(row: Row) -> ScheduleReference | None:
    if row["schedule_id"] is None:
        return None
    return ScheduleReference(id=row["schedule_id"], cron=row["schedule_cron"] or "")


def _context(row: Row, values: Iterable[Row]) -> JobContext:
    namespaces: dict[str, dict[str, str]] = {"inputs": {}, "secrets": {}, "tasks": {}}
    for value in values:
        namespaces.setdefault(value["namespace"], {})[value["name"]] = value["value"]
    return JobContext(
        job={"id": row["id"], "name": row["name"]},
        inputs=namespaces["inputs"],
        secrets=namespaces["secrets"],
        tasks=namespaces["tasks"],
    )
