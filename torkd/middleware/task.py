"""The port to task middleware. Any subset of the methods will do; what is not overridden costs nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from tork.task import TaskDefinition, TaskSummary


class RunEnding(StrEnum):
    """How a run ended on its worker."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    """Nobody waits for a report any more."""
    HANDED_BACK = "handed back"
    """The worker shut down before it was done."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StartedRun:
    """One execution of a task on a worker."""

    run_id: str
    task_id: str
    job_id: str
    node_id: str
    queue: str
    dispatch: int
    """Counts how often the task was handed out, from 1."""
    started_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class EndedRun:
    """What became of it."""

    ending: RunEnding
    result: str = ""
    error: str = ""


class TaskMiddleware:
    """Sees tasks: the first two methods on workers, the others beside coordinators. Called from several threads at once."""

    def before_run(self, definition: TaskDefinition, run: StartedRun) -> TaskDefinition:  # noqa: ARG002 -- for those who override it
        """Before a task is executed, in the thread that runs it: what the runtime is to execute.

        Templates are evaluated, limits and host variables filled in. What the engine has read already (name, `if`, `var`, queue,
        priority, retry) stays what it was, whatever is returned. Whatever this raises fails the task, `tork.errors.Refused` with
        its text. Not called again for a run that a restarted worker takes up: that goes on with what was returned.
        """
        return definition

    def after_run(self, run: StartedRun, outcome: EndedRun) -> None:
        """When nothing of the run is left, before its end is reported. May be called twice, or never, when the worker dies."""

    def changed(self, task: TaskSummary) -> None:
        """After a change of a task's state was committed, as for jobs (`JobMiddleware.changed`).

        Description and tags are there when they were at hand. Tasks that end because their job is cancelled are told one by
        one only if the coordinator had them in hand.
        """

    def shown(self, document: dict[str, Any]) -> dict[str, Any]:
        """For each document of a task that leaves by the API, those within a job too, as for jobs (`JobMiddleware.shown`)."""
        return document
