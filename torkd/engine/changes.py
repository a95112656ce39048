"""What to do: the values that `decide` answers with. Writing them is the datastore's work, sending them the broker's."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tork.job import JobDefinition
from torkd.engine.hook_events import HookEvent
from torkd.engine.rows import JobRow, TaskRow


@dataclass(frozen=True, slots=True)
class CreateJob:
    """Store a new job with everything it was submitted with."""

    row: JobRow
    definition: JobDefinition
    made_by: str | None = None
    """The id of the job whose task made it, whether that waits for it or not."""


@dataclass(frozen=True, slots=True)
class UpdateJob:
    """Store the new state of a job."""

    row: JobRow


@dataclass(frozen=True, slots=True)
class CreateTask:
    """Store a new task."""

    row: TaskRow


@dataclass(frozen=True, slots=True)
class UpdateTask:
    """Store the new state of a task."""

    row: TaskRow


@dataclass(frozen=True, slots=True)
class SendTask:
    """Hand a task out to its queue."""

    task_id: str


@dataclass(frozen=True, slots=True)
class SetResult:
    """Let later tasks of the job read `tasks.<var>`."""

    job_id: str
    var: str
    value: str


@dataclass(frozen=True, slots=True)
class StoreItems:
    """Keep the elements of a large each or parallel, whose children are made some at a time."""

    task_id: str
    job_id: str
    items: list[Any]


@dataclass(frozen=True, slots=True)
class CancelTree:
    """Cancel every active task of a job, and its attached sub-jobs with theirs. The job's own state is set apart."""

    job_id: str


@dataclass(frozen=True, slots=True)
class CancelBelow:
    """Cancel every active task below a task, and attached sub-jobs there with theirs. The task's own state is set apart."""

    task_id: str


class OrderKind(StrEnum):
    """What a node is told of a run."""

    STOP = "stop"
    GRANT = "grant"
    REFUSE = "refuse"
    ACKNOWLEDGE = "acknowledge"


@dataclass(frozen=True, slots=True)
class TellNode:
    """Tell the node of a run."""

    kind: OrderKind
    node_id: str
    run_id: str


@dataclass(frozen=True, slots=True)
class Announce:
    """Tell the job's webhooks of a change. The rows are as they were right after it."""

    event: HookEvent
    job: JobRow
    task: TaskRow | None = None


@dataclass(frozen=True, slots=True)
class UnfoldSoon:
    """Come back for more children of this task (`ChildrenDue`) in a transaction of its own."""

    task_id: str
    job_id: str
    root_id: str


Change = (
    CreateJob
    | UpdateJob
    | CreateTask
    | UpdateTask
    | SendTask
    | SetResult
    | StoreItems
    | CancelTree
    | CancelBelow
    | TellNode
    | Announce
    | UnfoldSoon
)
