"""From the rows that the engine loads, which come as JSON, to its own: names, definitions and scopes opened."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from tork.task import TaskDefinition
from tork.wire import StoredDecoder
from torkd.datastore.postgres.sealed_columns import MARK, SealedColumns
from torkd.engine.rows import JobRow, TaskRow

decode_definition = StoredDecoder(TaskDefinition).decode
decode_any = msgspec.json.Decoder().decode
_decode_task_row = StoredDecoder(TaskRow).decode
_decode_job_row = StoredDecoder(JobRow).decode


def decode_job(document: str, columns: SealedColumns) -> JobRow:
    """The row of a job."""
    job = _decode_job_row(document)
    return replace(job, name=columns.open(job.id, job.name)) if job.name.startswith(MARK) else job


def decode_task(document: str, columns: SealedColumns) -> TaskRow:
    """The row of a task, without what it is."""
    task = _decode_task_row(document)
    return replace(task, name=columns.open(task.job_id, task.name)) if task.name.startswith(MARK) else task


def with_definition(task: TaskRow, spec: str, scope: str | None, columns: SealedColumns) -> TaskRow:
    """The row with what the task is."""
    return replace(
        task,
        spec=decode_definition(columns.open(task.job_id, spec)),
        scope=decode_any(columns.open(task.job_id, scope)) if scope else None,
    )
