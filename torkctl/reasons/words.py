"""How jobs, tasks, moments and queues are called in a sentence."""

from __future__ import annotations

from datetime import datetime

from tork.job import JobSummary
from torkctl.client.documents import TaskReport
from torkctl.endings import SHORT_ID
from torkctl.error_line import error_line
from torkctl.output.times import seconds_text
from torkctl.reasons.facts import Evidence, Facts

LONGEST_NAME = 100
LONGEST_ERROR = 400
END_OF_LOG = "end of its log"


def named_task(facts: Facts, task: TaskReport) -> str:
    """The task, with those that lead to the job it is in."""
    names = (*facts.path, task.name or task.id[:SHORT_ID])
    return f"task '{error_line('/'.join(names), LONGEST_NAME)}'"


def named_job(job: JobSummary) -> str:
    """The job by its short id, and its name."""
    return f"job {job.id[:SHORT_ID]}" + (f" ({error_line(job.name, LONGEST_NAME)})" if job.name else "")


def it(facts: Facts) -> str:
    """The job that it comes down to: the one that was asked about, or a sub-job of it."""
    return named_job(facts.job) if facts.path else "it"


def clock(at: datetime, now: datetime) -> str:
    """A moment near now, in the reader's own zone."""
    local = at.astimezone()
    is_today = local.date() == now.astimezone().date()
    return local.strftime("%H:%M:%S" if is_today else "%Y-%m-%d %H:%M:%S")


def lasting(start: datetime, now: datetime) -> str:
    """How long it has lasted."""
    return seconds_text(max(0.0, (now - start).total_seconds()))


def identified(task: TaskReport) -> str:
    """The task as it can be looked up, and its state."""
    return f"{task.id} {task.state.value if task.state else ''}".strip()


def log_of(facts: Facts) -> list[Evidence]:
    """The end of the task's log, if it has printed something."""
    return [Evidence(about=END_OF_LOG, says="\n".join(facts.log_tail))] if facts.log_tail else []
