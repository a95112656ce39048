"""From rows to tasks. What a task was given is its `spec`; the columns say what became of it and win."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from tork.task import Task, TaskState, TaskSummary
from tork.wire import StoredDecoder, whole
from torkd.datastore.postgres.querying import Row, moment

_SPEC = StoredDecoder(Task)


class _Told(msgspec.Struct):
    """What a summary takes from the spec."""

    description: str = ""
    tags: list[str] = []


_TOLD = StoredDecoder(_Told)


def read_task(row: Row) -> Task:
    """A row of `get_tasks` or `get_execution`."""
    task = _SPEC.decode(row["spec"])
    return replace(
        task,
        **_of_both(row),
        queue=row["queue"] or task.queue,
        priority=row["priority"] or task.priority,
        redelivered=row["redelivered"],
        item_index=row["item_index"] or 0,
        retry=replace(task.retry, attempts=row["attempts"]) if task.retry else None,
        parallel=replace(task.parallel, completions=row["completions"], failures=row["failures"])
        if task.parallel
        else None,
        each=replace(
            task.each, size=row["size"], completions=row["completions"], failures=row["failures"], index=row["created"]
        )
        if task.each
        else None,
        subjob=replace(task.subjob, id=row["subjob_id"] or "") if task.subjob else None,
    )


def read_task_summary(row: Row) -> TaskSummary:
    """A row of `get_task_summary` or `get_changed_tasks`."""
    told = _TOLD.decode(row["spec"])
    return TaskSummary(**_of_both(row), description=told.description, tags=told.tags, attempts=row["attempts"])


def _of_both(row: Row) -> dict[str, Any]:
    """What a task and its summary have in common."""
    return {
        "id": row["id"],
        "job_id": row["job_id"],
        "parent_id": row["parent_id"] or "",
        "position": row["position"],
        "progress": whole(row["progress"]),
        "name": row["name"],
        "state": TaskState(row["state"]),
        "created_at": moment(row["created_at"]),
        "scheduled_at": moment(row["scheduled_at"]),
        "started_at": moment(row["started_at"]),
        "completed_at": moment(row["completed_at"]),
        "failed_at": moment(row["failed_at"]),
        "error": row["error"] or "",
        "result": row["result"] or "",
        "var": row["var"],
        "node_id": row["node_id"] or "",
        "reason": row["reason"] or "",
    }
