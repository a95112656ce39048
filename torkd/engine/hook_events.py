"""Which events a change of a job or a task is, for whoever is told of it by webhook.

Only what is stored is an event: the caller has changed the row. A job keeps the names of the events that its webhooks ask for,
so that nothing is announced that nobody hears.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from tork.job import JobState
from tork.task import TaskState, WebhookDefinition


class HookEvent(StrEnum):
    """What a webhook can be told of. No name is a part of another."""

    JOB_STATE = "job.StateChange"
    JOB_PROGRESS = "job.Progress"
    TASK_STATE = "task.StateChange"
    TASK_PROGRESS = "task.Progress"

    @property
    def is_about_task(self) -> bool:
        """Whether a task is told of, rather than a job."""
        return self in {HookEvent.TASK_STATE, HookEvent.TASK_PROGRESS}


TOLD_JOB_STATES = frozenset(
    {JobState.PENDING, JobState.RUNNING, JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED}
)
"""States of a job whose beginning is an event. SCHEDULED follows upon PENDING in the same moment."""

TOLD_TASK_STATES = frozenset(
    {TaskState.SCHEDULED, TaskState.RUNNING, TaskState.COMPLETED, TaskState.FAILED, TaskState.SKIPPED}
)
"""States of a task whose beginning is an event. CANCELLED is not: the job says that it has ended, once for all its tasks."""


def asks_for(webhook: WebhookDefinition, event: HookEvent) -> bool:
    """Whether the webhook wants the event. An event that is not known never comes."""
    return (webhook.event or HookEvent.JOB_STATE) == event


def announced_by(webhooks: Iterable[WebhookDefinition]) -> str:
    """The events that these ask for, as a job's row keeps them."""
    webhooks = list(webhooks)
    return " ".join(event for event in HookEvent if any(asks_for(webhook, event) for webhook in webhooks))
