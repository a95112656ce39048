"""Which tables have sealed columns, and what each value is bound to: who seals everything anew goes through them all."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SealedTable:
    """A table with sealed columns."""

    name: str
    owner: str
    """The column with the id that a value can't be opened without."""
    key: tuple[tuple[str, str], ...]
    """The columns of the primary key, each with its type: text, int or bigint."""
    columns: tuple[str, ...]
    of_jobs: bool = True
    """Whether the owner is a job: then the row of its root is locked for changes."""


_ID = (("id", "text"),)
_LANE = (("job_id", "text"), ("lane", "int"))

SEALED_TABLES = (
    SealedTable("jobs", "id", _ID, ("name", "error", "result")),
    SealedTable("job_details", "job_id", (("job_id", "text"),), ("description", "output", "webhooks")),
    SealedTable("job_steps", "job_id", (("job_id", "text"), ("position", "int")), ("spec",)),
    SealedTable("job_context", "job_id", (("job_id", "text"), ("key", "text")), ("value",)),
    SealedTable("tasks", "job_id", _ID, ("name", "error", "result", "scope", "spec", "reason")),
    SealedTable("schedules", "id", _ID, ("spec", "error"), of_jobs=False),
    SealedTable("task_items", "job_id", (("task_id", "text"), ("block", "int")), ("items",)),
    # Not under the lock of a job: it may be gone by then, and the rows are locked by themselves.
    SealedTable("webhook_lanes", "job_id", _LANE, ("error",), of_jobs=False),
    SealedTable(
        "webhook_deliveries",
        "job_id",
        (*_LANE, ("version", "bigint"), ("number", "int")),
        ("request",),
        of_jobs=False,
    ),
)
