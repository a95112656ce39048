"""From what is known to one sentence with its evidence."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from tork.schedule import ScheduledJobSummary, ScheduleState
from tork.task import TaskState
from torkctl.client.documents import TaskReport
from torkctl.error_line import error_line
from torkctl.reasons.ended import why_job_ended, why_task_ended
from torkctl.reasons.facts import Evidence, Facts, Reason, Subject
from torkctl.reasons.running import why_task_runs
from torkctl.reasons.waiting import Explained, why_job_waits, why_task_waits
from torkctl.reasons.words import LONGEST_ERROR, clock, identified, named_task


def explain(facts: Facts) -> Reason:
    """Why the job or task is as it is."""
    because, evidence = _explained(facts)
    task = facts.task
    named = [Evidence(about="task", says=identified(task))] if task is not None and task.id != facts.subject.id else []
    evidence = [*named, *evidence, *_others(facts), *facts.unseen]
    return Reason(subject=facts.subject, state=facts.state, because=because, evidence=evidence)


def explain_schedule(scheduled: ScheduledJobSummary, now: datetime) -> Reason:
    """Why a scheduled job starts nothing now."""
    evidence = [Evidence(about="cron", says=scheduled.cron)]
    if scheduled.last_at:
        evidence.append(Evidence(about="last start", says=clock(scheduled.last_at, now)))
    if scheduled.error:
        because = f"it could not start its job when it was due: {error_line(scheduled.error, LONGEST_ERROR)}"
    elif scheduled.state is ScheduleState.PAUSED:
        because = "it is paused, and starts nothing until it is resumed"
    elif scheduled.next_at is None:
        because = "it has no time to come"
    else:
        because = f"it waits for its next time, {clock(scheduled.next_at, now)}"
    subject = Subject(kind="schedule", id=scheduled.id, name=scheduled.name)
    return Reason(subject=subject, state=scheduled.state.value, because=because, evidence=evidence)


def _explained(facts: Facts) -> Explained:
    task = facts.task
    if task is None:
        return _of_job(facts)
    if task.state is not None and task.state.is_active:
        return why_task_runs(facts, task) if task.state is TaskState.RUNNING else why_task_waits(facts, task)
    return why_task_ended(facts, task)


def _of_job(facts: Facts) -> Explained:
    return why_job_waits(facts) if facts.job.state.is_active else why_job_ended(facts)


def _others(facts: Facts) -> list[Evidence]:
    """How many tasks of the job are under way besides, when the job is what was asked about."""
    task = facts.task
    if task is None or task.state is None or not task.state.is_active or facts.subject.kind != "job":
        return []
    active = [other for other in facts.job.execution if other.state is not None and other.state.is_active]
    parents = {other.parent_id for other in active}
    besides = [other for other in active if other.id not in parents and other.id != task.id]
    counts = Counter(other.state.value for other in besides if other.state)
    told = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
    example = f", such as {named_task(facts, _first(besides))}" if besides else ""
    return [Evidence(about="other tasks under way", says=told + example)] if told else []


def _first(tasks: list[TaskReport]) -> TaskReport:
    return min(tasks, key=lambda task: (task.position, task.name))
