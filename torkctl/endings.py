"""How a job ended, as an exit code and as one sentence."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from tork.job import JobState, JobSummary
from tork.task import TaskState
from torkctl.attempts import runs
from torkctl.client.documents import JobReport, TaskReport
from torkctl.diagnostics import ExitCode
from torkctl.error_line import error_line
from torkctl.nesting import sub_job_id
from torkctl.output.times import span

SHORT_ID = 8
_LONGEST_REASON = 400
_NO_JOBS: Mapping[str, JobReport] = {}
_EXIT_CODE = re.compile(r"exit code (\d{1,3})\b")

_CODE_OF_STATE = {
    JobState.COMPLETED: ExitCode.DONE,
    JobState.FAILED: ExitCode.FAILED,
    JobState.CANCELLED: ExitCode.CANCELLED,
}


def code_of(state: JobState) -> ExitCode:
    """The exit code for a job that ended so."""
    return _CODE_OF_STATE[state]


def ending_text(job: JobSummary, sub_jobs: Mapping[str, JobReport] = _NO_JOBS) -> str:
    """Which job it was, how it ended, how long it took, and why, if it did not go well.

    What failed in one of the `sub_jobs`, known by their ids, is named with the tasks that lead to it.
    """
    name = f" ({error_line(job.name, _LONGEST_REASON)})" if job.name else ""
    duration = span(job.started_at, _ended_at(job))
    text = f"job {job.id[:SHORT_ID]}{name} {job.state.value}" + (f" after {duration}" if duration != "-" else "")
    reason = "" if job.state is JobState.COMPLETED else _reason(job, sub_jobs)
    return f"{text}: {reason}" if reason else text


def task_exit_code(job: JobReport, task_name: str) -> int | None:
    """The exit code of the task's last run. None when it never ran to an end of its own.

    Of several tasks with that name, such as the children of an each, the one that failed first counts.
    """
    last_runs = [chain[-1] for chain in _chains(job.execution) if chain[-1].name == task_name]
    failed = [task for task in last_runs if task.state is TaskState.FAILED]
    if failed:
        told = _EXIT_CODE.match(min(failed, key=_failed_at).error)
        return int(told[1]) if told and 0 < int(told[1]) <= 255 else ExitCode.FAILED
    if last_runs and all(task.state in {TaskState.COMPLETED, TaskState.SKIPPED} for task in last_runs):
        return ExitCode.DONE
    return None


def _chains(execution: Sequence[TaskReport]) -> Iterator[list[TaskReport]]:
    """The runs of each task; of a task inside another, only those in the last run of that one."""
    children: defaultdict[str, list[TaskReport]] = defaultdict(list)
    known = {task.id for task in execution}
    for task in execution:
        children[task.parent_id if task.parent_id in known else ""].append(task)
    waiting = [""]
    while waiting:
        for chain in runs(children[waiting.pop()]):
            yield chain
            waiting.append(chain[-1].id)


def _reason(job: JobSummary, sub_jobs: Mapping[str, JobReport]) -> str:
    path: list[str] = []
    error = job.error
    inside: JobReport | None = job if isinstance(job, JobReport) and job.state is JobState.FAILED else None
    while inside is not None:
        culprit = culprit_of(inside.execution)
        if culprit is None:
            break
        path.append(culprit.name or culprit.id[:SHORT_ID])
        error = culprit.error or error
        inside = sub_jobs.get(sub_job_id(culprit))
    if not path:
        return error_line(error, _LONGEST_REASON)
    reason = error_line(error, _LONGEST_REASON).removeprefix(f"task '{path[-1]}': ").removeprefix(f"task '{path[-1]}' ")
    return f"task '{'/'.join(path)}': {reason}"


def culprit_of(execution: Sequence[TaskReport]) -> TaskReport | None:
    """The task that failed: of a composite, the one inside it, unless its own error tells of several."""
    failed = [task for task in execution if task.state is TaskState.FAILED]
    gone_on = {task.id for task in failed if _failures(task)}
    parents = {task.parent_id for task in failed} - gone_on
    inner = [task for task in failed if task.id not in parents and task.parent_id not in gone_on]
    return max(inner, key=_failed_at, default=None)


def _failures(task: TaskReport) -> int:
    composite = task.each or task.parallel
    return composite.failures if composite else 0


def _failed_at(task: TaskReport) -> tuple[int, float]:
    return (task.position, task.failed_at.timestamp() if task.failed_at else 0.0)


def _ended_at(job: JobSummary) -> datetime | None:
    return job.completed_at or job.failed_at
