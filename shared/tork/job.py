"""Jobs: what a file says of one (`JobDefinition`), and one that was submitted (`Job`, in short `JobSummary`)."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from tork.account import Permission, PermissionDefinition, User
from tork.task import AutoDelete, Limits, Retry, Task, TaskDefinition, WebhookDefinition
from tork.wire import Given, Told


class JobState(StrEnum):
    """The states of a job; which change is legal is in `torkd.engine.transitions`."""

    PENDING = "PENDING"
    SCHEDULED = "SCHEDULED"
    RUNNING = "RUNNING"
    CANCELLED = "CANCELLED"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"

    @property
    def is_active(self) -> bool:
        """Whether more is to come."""
        return self in _ACTIVE_STATES


_ACTIVE_STATES = frozenset({JobState.PENDING, JobState.SCHEDULED, JobState.RUNNING})


class Defaults(Given, frozen=True, kw_only=True):
    """What tasks get that don't say it themselves."""

    retry: Annotated[Retry | None, Meta(description="What happens after a failure")] = None
    limits: Annotated[Limits | None, Meta(description="What a task may use of its machine")] = None
    timeout: Annotated[str, Meta(description="How long a task may take")] = ""
    queue: Annotated[str, Meta(description="The queue whose workers may run it")] = ""
    priority: Annotated[int, Meta(description="0 to 9; 9 goes first within a queue")] = 0


class Wait(Given, frozen=True, kw_only=True):
    """Makes `POST /jobs` answer when the job has ended."""

    timeout: Annotated[str, Meta(description="How long to wait at most, such as 30s")] = ""


class Overlap(StrEnum):
    """What a tick does while a job of the same schedule is active."""

    ALLOW = "allow"
    SKIP = "skip"
    REPLACE = "replace"


class CatchUp(StrEnum):
    """Which ticks are made up for that nobody was there to see."""

    NONE = "none"
    ONE = "one"
    ALL = "all"


class Schedule(Given, frozen=True, kw_only=True):
    """When a scheduled job starts."""

    cron: Annotated[
        str, Meta(description="minute hour day-of-month month day-of-week, @daily and the like, or @every 5m")
    ] = ""
    overlap: Annotated[
        str, Meta(description="While a job of it is active: allow another (the default), skip the tick, or replace it")
    ] = ""
    catchup: Annotated[
        str, Meta(description="Ticks missed in an outage: none is made up for (the default), one (the latest), or all")
    ] = ""


class JobDefinition(Given, frozen=True, kw_only=True):
    """A job file."""

    name: Annotated[str, Meta(description="What the job is called")] = ""
    description: Annotated[str, Meta(description="What the job is for")] = ""
    tags: Annotated[list[str], Meta(description="Words to find the job by")] = []
    tasks: Annotated[list[TaskDefinition], Meta(description="What to do, one after the other; at least one")] = []
    inputs: Annotated[dict[str, str], Meta(description="Values the tasks read as inputs.<name>")] = {}
    secrets: Annotated[dict[str, str], Meta(description="Values the tasks read as secrets.<name>; never shown")] = {}
    output: Annotated[str, Meta(description="A template evaluated at the end; becomes the job's result")] = ""
    defaults: Annotated[Defaults | None, Meta(description="What tasks get that don't say it themselves")] = None
    webhooks: Annotated[list[WebhookDefinition], Meta(description="Addresses that are told of changes, up to 100")] = []
    permissions: Annotated[
        list[PermissionDefinition], Meta(description="Who may see the job; everybody when empty")
    ] = []
    auto_delete: Annotated[AutoDelete | None, Meta(description="When the completed job is removed")] = None
    wait: Annotated[Wait | None, Meta(description="Makes the submission answer when the job has ended")] = None
    schedule: Annotated[Schedule | None, Meta(description="When to start it, again and again")] = None


class ScheduleReference(Told, frozen=True, kw_only=True):
    """The schedule that made a job."""

    id: str = ""
    cron: str = ""


class JobContext(Told, frozen=True, kw_only=True):
    """What the job's expressions can read."""

    job: dict[str, str] = {}
    inputs: dict[str, str] = {}
    secrets: dict[str, str] = {}
    tasks: dict[str, str] = {}


class Job(Told, frozen=True, kw_only=True):
    """A submitted job, with everything about it."""

    id: str
    parent_id: str = ""
    name: str = ""
    description: str = ""
    tags: list[str] = []
    state: JobState
    created_at: datetime
    created_by: User | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    failed_at: datetime | None = None
    tasks: list[TaskDefinition]
    execution: list[Task]
    position: int
    inputs: dict[str, str] = {}
    context: JobContext
    task_count: int = 0
    output: str = ""
    result: str = ""
    error: str = ""
    defaults: Defaults | None = None
    webhooks: list[WebhookDefinition] = []
    permissions: list[Permission] = []
    auto_delete: AutoDelete | None = None
    delete_at: datetime | None = None
    secrets: dict[str, str] = {}
    progress: float = 0  # an integer: only that is left out of the JSON
    schedule: ScheduleReference | None = None


class JobSummary(Told, frozen=True, kw_only=True):
    """A job in few words: what lists, webhooks and live streams send."""

    id: str
    created_by: User | None = None
    parent_id: str = ""
    inputs: dict[str, str] = {}
    name: str = ""
    description: str = ""
    tags: list[str] = []
    state: JobState
    created_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None
    failed_at: datetime | None = None
    position: int
    task_count: int = 0
    result: str = ""
    error: str = ""
    progress: float = 0  # an integer: only that is left out of the JSON
    schedule: ScheduleReference | None = None
