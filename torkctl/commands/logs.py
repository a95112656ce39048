"""`torkctl logs`: what a job or a task printed, and prints."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from tork.durations import parse_duration
from tork.errors import DurationError, NotFound
from torkctl.errors import UsageProblem
from torkctl.session import Session
from torkctl.settings import OutputFormat

if TYPE_CHECKING:
    from collections.abc import Callable

    from torkctl.client import Api
    from torkctl.output.logs import LogPrinter
    from torkctl.references import Found


def logs(
    ctx: typer.Context,
    reference: Annotated[str, typer.Argument(metavar="JOB|TASK", help="A job, or the id of a task.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job or task has ended.")] = False,
    tail: Annotated[int | None, typer.Option("--tail", min=0, metavar="N", help="Only the last N lines.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="DURATION", help="Only what is not older, such as 5m.")
    ] = None,
    timestamps: Annotated[bool, typer.Option("--timestamps", "-t", help="Begin each line with its time.")] = False,
    grep: Annotated[str, typer.Option("--grep", metavar="TEXT", help="Only lines that contain the text.")] = "",
    task: Annotated[str, typer.Option("--task", metavar="NAME", help="Only that task, by its name or id.")] = "",
) -> int:
    """Print the log of a job or a task."""
    from torkctl.output.logs import LogPrinter
    from torkctl.references import find

    session = Session.of(ctx)
    output = session.settings.output
    oldest = _oldest(since)
    if follow and output in {OutputFormat.JSON, OutputFormat.YAML}:
        raise UsageProblem("--follow does not fit into one document (right would be -o jsonl)")
    with session.api(waiting=follow) as api:
        found = find(api, reference)
        names, several = _names(api, found)
        if task and not follow and task not in names.values() and task not in names:
            raise NotFound(f"job {found.id} has no task '{task}'")
        printer = LogPrinter(
            name_of=_lookup(api, names),
            with_names=several and not task,
            with_timestamps=timestamps,
            containing=grep,
            since=oldest,
            task=task,
            output=output,
        )
        try:
            _print(api, found, printer, follow=follow, tail=tail)
        except KeyboardInterrupt:
            from torkctl import diagnostics

            diagnostics.error(f"interrupted: {found.path[1:]} was not changed")
            return diagnostics.ExitCode.INTERRUPTED
    return 0


def _print(api: Api, found: Found, printer: LogPrinter, *, follow: bool, tail: int | None) -> None:
    from torkctl.client.following import SeenParts, follow_log, read_log

    seen = SeenParts()
    if not follow or tail is not None:
        parts = read_log(api, found.path, seen=seen)
        printer.show_all(parts, tail=tail, is_whole=not follow)
    if follow:
        patience = api.patience()
        for part in follow_log(api, found.path, patience, is_active=lambda: _is_active(api, found), seen=seen):
            printer.show(part)
        printer.finish()


def _is_active(api: Api, found: Found) -> bool:
    if found.is_job:
        return api.job_summary(found.id).state.is_active
    state = api.task(found.id).state
    return state is None or state.is_active


def _oldest(since: str | None) -> datetime | None:
    if since is None:
        return None
    try:
        age = parse_duration(since)
    except (DurationError, OverflowError) as error:
        raise UsageProblem(f"--since: {error}") from error
    return datetime.now(UTC) - max(age, timedelta(0))


def _names(api: Api, found: Found) -> tuple[dict[str, str], bool]:
    """The names of the tasks by their id, and whether lines need them."""
    from torkctl.narration import has_several_tasks

    if not found.is_job:
        return {found.id: api.task(found.id).name}, False
    job = api.job(found.id)
    return {task.id: task.name for task in job.execution}, has_several_tasks(job)


def _lookup(api: Api, names: dict[str, str]) -> Callable[[str], str]:
    from torkctl.narration import TaskNames

    known = TaskNames(api=api)
    for task_id, name in names.items():
        known.learn(task_id, name)
    return known.of
