"""What a user calls a job: its id, a unique prefix of at least six characters, or `@last`.

Invariant: a prefix that fits two jobs never picks one of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tork.errors import NotFound, TorkError
from tork.task import TaskState
from torkctl import diagnostics
from torkctl.client.api import Api, JobQuery
from torkctl.errors import TooShort, Unsupported, UsageProblem
from torkctl.ids import FULL_ID, SHORTEST_PREFIX, some_of

T = TypeVar("T")

LAST = "@last"


def last_job_path(environ: Mapping[str, str]) -> Path:
    """Where the id of the last submitted job is kept."""
    configured = environ.get("XDG_STATE_HOME", "")
    folder = Path(configured) if configured else Path.home() / ".local" / "state"
    return folder / "torkctl" / "last-job"


def remember_last(job_id: str, environ: Mapping[str, str] = os.environ) -> None:
    """Make the job `@last`. A machine where nothing can be written just has no `@last`."""
    path = last_job_path(environ)
    written = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        written.write_text(job_id + "\n")
        written.replace(path)
    except OSError as error:
        diagnostics.detail(f"{LAST} is not remembered: {error}")


def resolve_job(api: Api, reference: str, environ: Mapping[str, str] = os.environ) -> str:
    """The id of the job. Raises `NotFound`, or `UsageProblem` when it could be several."""
    if reference == LAST:
        return _last(environ)
    if FULL_ID.fullmatch(reference):
        return reference.lower()
    if len(reference) < SHORTEST_PREFIX:
        raise TooShort(
            f"'{reference}' is too short for a job (right would be an id, at least {SHORTEST_PREFIX} characters"
            f" of one, or {LAST})"
        )
    return _with_prefix(api, reference.lower())


def resolve_jobs(api: Api, references: list[str]) -> list[str]:
    """The ids of the jobs, each once, all of them known to exist as references before any is acted on."""
    return list(dict.fromkeys(resolve_job(api, reference) for reference in references))


def watched(reference: str, look: Callable[[Api, str], T]) -> Callable[[Api], T]:
    """A look at the job of that name: at the same one each time, whatever is submitted meanwhile."""
    known: list[str] = []

    def look_again(api: Api) -> T:
        if not known:
            known.append(resolve_job(api, reference))
        return look(api, known[0])

    return look_again


def _with_prefix(api: Api, prefix: str) -> str:
    page = api.jobs(JobQuery(id_prefix=prefix))
    # a server that does not know the filter answers with all jobs
    found = [job.id for job in page.items if job.id.startswith(prefix)]
    if not found:
        raise NotFound(f"there is no job {prefix}…")
    if len(found) > 1:
        raise UsageProblem(f"'{prefix}' fits several jobs: {some_of(found)} (right would be more characters of the id)")
    return found[0]


def _last(environ: Mapping[str, str]) -> str:
    try:
        job_id = last_job_path(environ).read_text().strip()
    except (OSError, UnicodeDecodeError):
        job_id = ""
    if not job_id:
        raise NotFound(f"there is no {LAST}: no job was submitted from this machine yet")
    return job_id


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a reference stands for."""

    id: str
    is_job: bool

    @property
    def path(self) -> str:
        """Where the API has it."""
        return f"/jobs/{self.id}" if self.is_job else f"/tasks/{self.id}"


def find(api: Api, reference: str, environ: Mapping[str, str] = os.environ) -> Found:
    """The job, or else the task, of that name. Raises `NotFound` when it is neither.

    The server finds a task by its whole id only; the beginning of one is looked up among the tasks of the last job.
    """
    try:
        job_id = resolve_job(api, reference, environ)
    except NotFound:
        if reference == LAST:
            raise
        return Found(id=_task_with_prefix(api, reference.lower(), environ), is_job=False)
    try:
        api.job_summary(job_id)
    except NotFound:
        if reference == LAST:
            raise
    else:
        return Found(id=job_id, is_job=True)
    try:
        api.task(job_id)
    except NotFound:
        raise NotFound(f"there is no job or task {reference}") from None
    return Found(id=job_id, is_job=False)


def schedule_instead(api: Api, reference: str, error: TorkError) -> bytes:
    """The scheduled job that is called so, where `find` has raised `NotFound` or `TooShort`; raises that, if there is none."""
    from torkctl.client.resources import of_schedule, resolve_schedule

    if reference == LAST:
        raise error
    try:
        return of_schedule(api, "GET", resolve_schedule(api, reference))
    except (NotFound, Unsupported):
        raise error from None


def failed_task(api: Api, job_id: str, reference: str) -> str:
    """The task of a job, or of a sub-job of it, by its id, the beginning of that, or its name: of those that failed, the last runs.

    Raises `NotFound`, or `UsageProblem` when it could be several.
    """
    from torkctl.nesting import sub_jobs

    if FULL_ID.fullmatch(reference):
        return reference.lower()
    job = api.job(job_id)
    last_runs = {
        (task.job_id, task.parent_id, task.position, task.item_index): task
        for report in [job, *sub_jobs(api, job).values()]
        for task in sorted(report.execution, key=lambda task: task.created_at.timestamp() if task.created_at else 0.0)
    }
    found = [
        task.id
        for task in last_runs.values()
        if task.state in {TaskState.FAILED, TaskState.CANCELLED}
        and (task.name == reference or (len(reference) >= SHORTEST_PREFIX and task.id.startswith(reference.lower())))
    ]
    if not found:
        raise NotFound(f"no task '{reference}' has failed in job {job_id}")
    if len(found) > 1:
        raise UsageProblem(
            f"'{reference}' is the name of several tasks that have failed: {some_of(found)} (right would be an id)"
        )
    return found[0]


def _task_with_prefix(api: Api, prefix: str, environ: Mapping[str, str]) -> str:
    from torkctl.nesting import sub_jobs

    try:
        job = api.job(_last(environ))
    except NotFound:
        found = []
    else:
        reports = [job, *sub_jobs(api, job).values()]
        found = [task.id for report in reports for task in report.execution if task.id.startswith(prefix)]
    if not found:
        raise NotFound(
            f"there is no job {prefix}…, and no such task in {LAST} (right would be a task's whole id, which"
            " torkctl get JOB -o wide shows)"
        )
    if len(found) > 1:
        raise UsageProblem(
            f"'{prefix}' fits several tasks: {some_of(found)} (right would be more characters of the id)"
        )
    return found[0]
