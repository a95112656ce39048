"""What can happen: the events that `decide` answers.

Each names the root job whose row is locked while it is handled, and may come twice, late, or out of order.
"""

from __future__ import annotations

from dataclasses import dataclass

from tork.job import JobDefinition
from torkd.broker.messages import RunClaimed, RunEnded, RunProgressed


@dataclass(frozen=True, kw_only=True, slots=True)
class JobSubmitted:
    """Somebody submitted a job."""

    job_id: str
    definition: JobDefinition
    created_by: str
    """The id of the account."""
    viewers: tuple[str, ...] | None = None
    """Ids of the users and roles that may see the job; None: everybody."""
    schedule_id: str | None = None
    """The schedule whose tick this is; its cron text is in the definition."""

    @property
    def root_id(self) -> str:
        """The new job itself."""
        return self.job_id


@dataclass(frozen=True, kw_only=True, slots=True)
class CancelRequested:
    """Somebody wants a job to end."""

    job_id: str
    root_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RestartRequested:
    """Somebody wants a failed or cancelled job to go on from the task where it stopped."""

    job_id: str
    root_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryRequested:
    """Somebody wants what failed to be run again, and what went well to be kept."""

    job_id: str
    root_id: str
    task_id: str = ""
    """Only this one, which may be in a sub-job; empty: all that failed or was cancelled in the job."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SkipRequested:
    """Somebody wants the job to go on without a task."""

    task_id: str
    job_id: str
    root_id: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryDue:
    """The wait before a retry is over."""

    task_id: str
    job_id: str
    root_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ChildrenDue:
    """A large each or parallel has room for more children."""

    task_id: str
    job_id: str
    root_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RunLost:
    """The lease of the worker that ran the task has ended."""

    task_id: str
    job_id: str
    root_id: str
    dispatch: int
    run_id: str
    lease_id: str
    """The lease that has ended: another incarnation of the worker may have taken the run up by now."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EventFailed:
    """An event of this task could not be handled; `reason` says why. Its job fails with that reason."""

    task_id: str
    job_id: str
    root_id: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class JobStalled:
    """Somebody looked at the whole database and found an active job in which nothing is left that could end."""

    job_id: str
    root_id: str
    version: int
    """The job's, as it was seen: when it has grown since, the job goes on by itself."""
    task_id: str = ""
    """The newest task at the job's position; empty when there is none."""
    error: str = ""
    """Of that task, if it failed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskStalled:
    """The same of a task that others carry out: none of its children is left, or its sub-job has ended without it."""

    task_id: str
    job_id: str
    root_id: str
    version: int
    """That of its job, as it was seen."""
    is_done: bool
    """Whether what carries it out has ended well."""
    result: str = ""
    error: str = ""
    """Why it can't be done."""


EngineEvent = (
    JobSubmitted
    | CancelRequested
    | RestartRequested
    | RetryRequested
    | SkipRequested
    | RetryDue
    | ChildrenDue
    | RunLost
    | EventFailed
    | JobStalled
    | TaskStalled
    | RunClaimed
    | RunEnded
    | RunProgressed
)
