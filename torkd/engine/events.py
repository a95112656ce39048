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


EngineEvent = (
    JobSubmitted
    | CancelRequested
    | RestartRequested
    | RetryDue
    | ChildrenDue
    | RunLost
    | EventFailed
    | RunClaimed
    | RunEnded
    | RunProgressed
)
