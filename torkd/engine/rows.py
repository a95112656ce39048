"""The rows that decisions are made from and written to: what a job and a task are between two events.

They hold only what changes or decides. A time, an error or a result that is None was not loaded, and None leaves what is
stored as it is.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from tork.job import Defaults, JobState
from tork.task import OnFailure, Retry, TaskDefinition, TaskState


class TaskKind(StrEnum):
    """How a task is carried out."""

    REGULAR = "regular"
    """By a worker."""
    PARALLEL = "parallel"
    EACH = "each"
    SUBJOB = "subjob"

    @property
    def has_children(self) -> bool:
        """Whether it is carried out by child tasks of the same job."""
        return self in {TaskKind.PARALLEL, TaskKind.EACH}


def goes_on(definition: TaskDefinition) -> bool:
    """Whether children of the task go on when one of them has failed."""
    composite = definition.parallel or definition.each
    return composite is not None and composite.on_failure == OnFailure.CONTINUE


def kind_of(definition: TaskDefinition) -> TaskKind:
    """The kind of a task, by what its definition has."""
    if definition.parallel is not None:
        return TaskKind.PARALLEL
    if definition.each is not None:
        return TaskKind.EACH
    if definition.subjob is not None:
        return TaskKind.SUBJOB
    return TaskKind.REGULAR


class JobRow(msgspec.Struct, frozen=True, kw_only=True):
    """A job between two events."""

    id: str
    root_id: str
    parent_job_id: str | None = None
    parent_task_id: str | None = None
    name: str
    state: JobState
    position: int = 0
    task_count: int
    progress: float = 0.0
    version: int = 0
    created_by: str
    created_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    failed_at: datetime | None = None
    delete_at: datetime | None = None
    error: str | None = None
    result: str | None = None
    defaults: Defaults | None = None
    auto_delete: str | None = None
    has_secrets: bool = False
    viewers: tuple[str, ...] | None = None
    """Ids of the users and roles that may see it and its sub-jobs; None: everybody."""
    schedule_id: str | None = None
    """Of a new job that a schedule has made."""
    announces: str = ""
    """The events that its webhooks ask for, by name; empty: nothing of it is announced."""


class Redo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which children of a composite are to be run again: some, and of all those as they were at a time the ones not dealt with yet."""

    task_ids: tuple[str, ...] = ()
    first: int = 0
    """The first place that was not dealt with yet."""
    until: int = 0
    """The version of the job then: what ended later is not meant. 0: only `task_ids` are."""
    with_failed: bool = False
    """Whether those that failed are meant too, or only those that were cancelled."""


class TaskRow(msgspec.Struct, frozen=True, kw_only=True):
    """A task between two events."""

    id: str
    job_id: str
    root_id: str
    parent_id: str | None = None
    position: int
    item_index: int | None = None
    kind: TaskKind
    state: TaskState
    name: str = ""
    queue: str = ""
    priority: int = 0
    var: str = ""
    retry: Retry | None = None
    attempts: int = 0
    dispatch: int = 0
    redelivered: int = 0
    run_id: str | None = None
    node_id: str | None = None
    lease_id: str | None = None
    created_at: datetime | None = None
    scheduled_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    failed_at: datetime | None = None
    due_at: datetime | None = None
    progress: float = 0.0
    error: str | None = None
    result: str | None = None
    log_parts: int = 0
    size: int = 0
    created: int = 0
    released: int = 0
    completions: int = 0
    concurrency: int = 0
    goes_on: bool = False
    """Whether its other children go on when one has failed."""
    failures: int = 0
    """Of one that goes on: children that have failed for good."""
    redo_left: int = 0
    """Children that are to be run again when there is room. They count as released."""
    redo: Redo | None = None
    """Which ones these are."""
    reason: str | None = None
    """Why a person skipped it; of a child that is held back: why it will be skipped."""
    is_raw: bool = False
    """Whether its spec is the definition, because that could not be evaluated. Then the scope is kept too."""
    subjob_id: str | None = None
    scope: dict[str, Any] | None = None
    spec: TaskDefinition | None = None
    """The evaluated definition; None when it was not loaded."""
    version: int = 0
    copy_of: str | None = None
    """For a new row without a spec: the task whose spec it gets."""

    @property
    def held_back_at(self) -> list[tuple[str, int]]:
        """Parent and place of a child whose turn has not come; empty for any other task."""
        if self.state is not TaskState.CREATED or self.parent_id is None or self.item_index is None:
            return []
        return [(self.parent_id, self.item_index)]
