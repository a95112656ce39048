"""What the API's documents say, as far as the command line reads them.

They are narrower than the documents, and fields they don't know are ignored, so that an older torkctl reads a newer
server. The job's own definition is read as an outline for the same reason.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import field

from tork.job import JobState, JobSummary
from tork.task import TaskState
from tork.wire import Told


class IndicatorReport(Told, frozen=True, kw_only=True):
    """Whether a part works that the server stands on."""

    status: str
    error: str = ""


class HealthReport(Told, frozen=True, kw_only=True):
    """What `GET /health` says."""

    status: str
    version: str = ""
    indicators: dict[str, IndicatorReport] = {}
    """What it stands on; empty where the server does not say."""

    @property
    def is_up(self) -> bool:
        """Whether the server can work."""
        return self.status == "UP"


class Submitted(Told, frozen=True, kw_only=True):
    """What a submission was answered with: of a job, or of a scheduled job."""

    id: str
    name: str = ""
    state: str = JobState.PENDING.value


class Composite(Told, frozen=True, kw_only=True):
    """How far an each or a parallel is."""

    size: int = 0
    concurrency: int = 0
    completions: int = 0
    failures: int = 0
    tasks: list[TaskOutline] = []
    task: TaskOutline | None = None


class SubJobLink(Told, frozen=True, kw_only=True):
    """The job that a task stands for."""

    id: str = ""
    name: str = ""
    tasks: list[TaskOutline] = []
    detached: bool = False


class Attempts(Told, frozen=True, kw_only=True):
    """How often a task was run again, of how often it may be."""

    limit: int = 0
    attempts: int = 0
    initial_delay: str = ""
    scaling_factor: float = 0


class TaskOutline(Told, frozen=True, kw_only=True):
    """A task in the job's definition: its name, and what is inside it."""

    name: str = ""
    if_: str = field(name="if", default="")
    each: Composite | None = None
    parallel: Composite | None = None
    subjob: SubJobLink | None = None

    @property
    def inner(self) -> list[TaskOutline]:
        """The tasks inside it."""
        if self.parallel:
            return self.parallel.tasks
        return [self.each.task] if self.each and self.each.task else []


class TaskReport(TaskOutline, frozen=True, kw_only=True):
    """A task that runs or ran."""

    id: str = ""
    job_id: str = ""
    parent_id: str = ""
    redelivered: int = 0
    timeout: str = ""
    position: int = 0
    state: TaskState | None = None
    created_at: datetime | None = None
    scheduled_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    failed_at: datetime | None = None
    error: str = ""
    result: str = ""
    node_id: str = ""
    queue: str = ""
    image: str = ""
    progress: float = 0
    item_index: int = 0
    reason: str = ""
    retry: Attempts | None = None


class JobReport(JobSummary, frozen=True, kw_only=True):
    """A job with the outline of its definition and with its tasks."""

    tasks: list[TaskOutline] = []
    execution: list[TaskReport] = []
    output: str = ""
