"""From rows to scheduled jobs and back. What a schedule starts is its `spec`, sealed like a job's where there is a key."""

from __future__ import annotations

from typing import Any

from tork import wire
from tork.job import JobDefinition
from tork.schedule import ScheduledJob, ScheduleState
from tork.wire import StoredDecoder, as_utc
from torkd.datastore.postgres.job_rows import read_user
from torkd.datastore.postgres.querying import Row, moment
from torkd.datastore.scheduling import ScheduleRow

_DEFINITION = StoredDecoder(JobDefinition)


def read_schedule_row(row: Row) -> ScheduleRow:
    """A row of `lock_schedule` or `lock_due`, opened."""
    return ScheduleRow(
        id=row["id"],
        definition=_DEFINITION.decode(row["spec"]),
        state=row["state"],
        zone=row["zone"],
        created_by=row["created_by"],
        viewers=tuple(row["viewers"]) if row["viewers"] is not None else None,
        created_at=as_utc(row["created_at"]),
        next_tick_at=moment(row["next_tick_at"]),
        due_at=moment(row["due_at"]),
        last_at=moment(row["last_at"]),
        error=row["error"],
    )


def new_row(row: ScheduleRow) -> dict[str, Any]:
    """What `add_schedule` takes."""
    return {
        "id": row.id,
        "state": row.state,
        "spec": wire.encode_text(row.definition),
        "zone": row.zone,
        "created_by": row.created_by,
        "viewers": row.viewers,
        "created_at": row.created_at,
        "next_tick_at": row.next_tick_at,
        "due_at": row.due_at,
    }


def changed_row(row: ScheduleRow) -> dict[str, Any]:
    """What `update_schedules` takes."""
    return {
        "id": row.id,
        "state": row.state,
        "next_tick_at": row.next_tick_at,
        "due_at": row.due_at,
        "last_at": row.last_at,
        "error": row.error,
    }


def read_scheduled_job(row: Row) -> ScheduledJob:
    """A row of `get_schedules`, opened."""
    given = _DEFINITION.decode(row["spec"])
    schedule = given.schedule
    state = ScheduleState(row["state"])
    return ScheduledJob(
        id=row["id"],
        name=given.name,
        description=given.description,
        cron=schedule.cron if schedule else "",
        zone=row["zone"],
        overlap=schedule.overlap if schedule else "",
        catchup=schedule.catchup if schedule else "",
        state=state,
        inputs=given.inputs,
        tasks=given.tasks,
        created_by=read_user(row),
        defaults=given.defaults,
        auto_delete=given.auto_delete,
        webhooks=given.webhooks,
        created_at=as_utc(row["created_at"]),
        next_at=moment(row["next_tick_at"]) if state is ScheduleState.ACTIVE else None,
        last_at=moment(row["last_at"]),
        error=row["error"],
        tags=given.tags,
        secrets=given.secrets,
        output=given.output,
    )
