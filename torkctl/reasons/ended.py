"""Why a task or a job ended as it did."""

from __future__ import annotations

import re

from tork.job import JobState
from tork.task import TaskState
from torkctl.attempts import runs_of
from torkctl.client.documents import JobReport, TaskOutline, TaskReport
from torkctl.endings import culprit_of
from torkctl.error_line import error_line
from torkctl.output.times import span
from torkctl.reasons.facts import Evidence, Facts
from torkctl.reasons.waiting import Explained
from torkctl.reasons.words import END_OF_LOG, LONGEST_ERROR, clock, identified, it, log_of, named_job, named_task

_EXIT = re.compile(r"exit code (\d+)\b:?")
_TIMEOUT = re.compile(r"task timed out after (\S+)$")
_LOST = "task redelivered too many times"
_MOST_SKIPPED = 10


def why_job_ended(facts: Facts) -> Explained:
    """Of a job of which no task tells it."""
    job = facts.job
    if job.state is JobState.CANCELLED:
        return why_cancelled(facts)
    duration = span(job.started_at, job.completed_at or job.failed_at)
    after = "" if duration == "-" else f" after {duration}"
    if job.state is JobState.FAILED:
        return f"{it(facts)} failed{after}: {error_line(job.error, LONGEST_ERROR) or 'nothing says why'}", []
    skipped = [task for task in job.execution if task.state is TaskState.SKIPPED]
    names = ", ".join(task.name or task.id for task in skipped[:_MOST_SKIPPED])
    more = f" and {len(skipped) - _MOST_SKIPPED} more" if len(skipped) > _MOST_SKIPPED else ""
    return f"{it(facts)} ended well{after}", [Evidence(about="skipped", says=names + more)] if skipped else []


def why_task_ended(facts: Facts, task: TaskReport) -> Explained:
    """Of a task that has ended, however it did."""
    match task.state:
        case TaskState.FAILED:
            return _failed(facts, task)
        case TaskState.SKIPPED:
            return _skipped(facts, task)
        case TaskState.COMPLETED:
            return f"{named_task(facts, task)} ended well after {span(task.started_at, task.completed_at)}", []
        case _:
            return _swept_away(facts, task)


def why_cancelled(facts: Facts) -> Explained:
    """Who cancelled the job, or which one around it took it along."""
    job, around = facts.job, facts.around
    if facts.cancellations:
        act = facts.cancellations[0]
        what = "" if act.target == job.id else f" with job {act.target[:8]}"
        address = [Evidence(about="from", says=act.address)] if act.address else []
        return f"{act.username} cancelled it{what} at {clock(act.at, facts.now)}", address
    if around is not None and around.state is JobState.FAILED:
        return f"{named_job(around)}, which it is a part of, failed: {error_line(around.error, LONGEST_ERROR)}", []
    if around is not None and around.state is JobState.CANCELLED:
        return f"{named_job(around)}, which it is a part of, was cancelled", []
    at = f" at {clock(job.failed_at, facts.now)}" if job.failed_at else ""
    if facts.cancellations is None:
        return f"it was cancelled{at}; by whom can't be seen", []
    because = f"it was cancelled{at}; nobody's request is written down for it"
    if job.schedule:
        because += ", so its schedule may have replaced it"
    return because, [Evidence(about="schedule", says=job.schedule.id)] if job.schedule else []


def failure(task: TaskReport) -> str:
    """What a failed task failed of, in few words."""
    error = task.error
    if told := _TIMEOUT.fullmatch(error.strip()):
        return f"timed out after {told[1]}, which is its limit"
    if error.startswith(_LOST):
        return f"was given up: its run was lost {task.redelivered + 1} times, as its worker was silent for a lease"
    if told := _EXIT.match(error):
        return f"failed with exit code {told[1]}"
    return f"failed: {error_line(error, LONGEST_ERROR) or 'nothing says why'}"


def _failed(facts: Facts, task: TaskReport) -> Explained:
    # The error has the last lines that were printed, and may come before the log.
    told = _EXIT.match(task.error)
    printed = task.error[told.end() :].strip() if told else ""
    evidence = [Evidence(about=END_OF_LOG, says=printed)] if printed else log_of(facts)
    if task.retry and task.retry.limit:
        says = f"{task.retry.attempts} of {task.retry.limit} were made"
        evidence.append(Evidence(about="retries before", says=says))
    all_runs = runs_of(task, facts.job.execution)
    later = all_runs[[run.id for run in all_runs].index(task.id) + 1 :]
    evidence += [Evidence(about="tried again", says=identified(run)) for run in later[-1:]]
    return f"{named_task(facts, task)} {failure(task)}", evidence


def _skipped(facts: Facts, task: TaskReport) -> Explained:
    if task.if_.strip() != "false":
        because = f"somebody skipped {named_task(facts, task)}"
        return because + (f": {error_line(task.reason, LONGEST_ERROR)}" if task.reason else ""), []
    written = _written(facts.job, task)
    evidence = [Evidence(about="if", says=written.if_)] if written else []
    return f"{named_task(facts, task)} was skipped, since its `if` came out as false", evidence


def _written(job: JobReport, task: TaskReport) -> TaskOutline | None:
    """A task as the job file has it, where that is beyond doubt."""
    if task.parent_id or not 0 < task.position <= len(job.tasks):
        return None
    outline = job.tasks[task.position - 1]
    return outline if outline.if_ else None


def _swept_away(facts: Facts, task: TaskReport) -> Explained:
    """Of a CANCELLED task: something else ended first."""
    who = named_task(facts, task)
    parent = next((other for other in facts.job.execution if other.id == task.parent_id), None)
    if parent is not None and parent.state is TaskState.FAILED:
        return _with_failed(facts, f"{who} was cancelled with {named_task(facts, parent)}", parent)
    if facts.job.state is JobState.FAILED:
        culprit = culprit_of(facts.job.execution)
        if culprit is not None:
            return _with_failed(facts, f"{who} was cancelled with its job", culprit)
        return f"{who} was cancelled with its job, which failed: {error_line(facts.job.error, LONGEST_ERROR)}", []
    if facts.job.state is JobState.CANCELLED:
        because, evidence = why_cancelled(facts)
        return f"{who} was cancelled with its job: {because}", evidence
    return f"{who} was cancelled before its job was restarted", []


def _with_failed(facts: Facts, because: str, failed: TaskReport) -> Explained:
    siblings = [task for task in facts.job.execution if failed.id in {task.id, task.parent_id}]
    culprit = culprit_of(siblings) or failed
    return f"{because}, since {named_task(facts, culprit)} {failure(culprit)}", [
        Evidence(about="what failed", says=f"{culprit.id} {culprit.name}".strip())
    ]
