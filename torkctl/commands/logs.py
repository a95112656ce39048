"""`torkctl logs`: what a job or a task printed, and prints."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from tork.durations import parse_duration
from tork.errors import DurationError, NotFound, TorkError
from torkctl import completing, diagnostics
from torkctl.diagnostics import ExitCode
from torkctl.errors import UsageProblem
from torkctl.session import Session
from torkctl.settings import OutputFormat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tork.log import TaskLogPart
    from torkctl.client import Api
    from torkctl.client.documents import TaskReport
    from torkctl.client.following import SeenParts
    from torkctl.output.logs import LogPrinter
    from torkctl.references import Found


def logs(
    ctx: typer.Context,
    reference: Annotated[
        str, typer.Argument(metavar="JOB|TASK", autocompletion=completing.jobs, help="A job, or the id of a task.")
    ],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job or task has ended.")] = False,
    tail: Annotated[int | None, typer.Option("--tail", min=0, metavar="N", help="Only the last N lines.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="DURATION", help="Only what is not older, such as 5m.")
    ] = None,
    timestamps: Annotated[bool, typer.Option("--timestamps", "-t", help="Begin each line with its time.")] = False,
    grep: Annotated[str, typer.Option("--grep", metavar="TEXT", help="Only lines that contain the text.")] = "",
    task: Annotated[str, typer.Option("--task", metavar="NAME", help="Only that task, by its name or id.")] = "",
) -> int:
    """Print the log of a job or a task.

    Example: torkctl logs -f @last --task build
    """
    from torkctl.output.logs import LogPrinter
    from torkctl.references import find

    session = Session.of(ctx)
    output = session.settings.output
    oldest = _oldest(since)
    if follow and output in {OutputFormat.JSON, OutputFormat.YAML}:
        raise UsageProblem("--follow does not fit into one document (right would be -o jsonl)")
    with session.api(waiting=follow) as api:
        found = find(api, reference)
        source = _Source.of(api, found)
        if task and not follow and task not in source.names.values() and task not in source.names:
            raise NotFound(f"job {found.id} has no task '{task}'")
        printer = LogPrinter(
            name_of=source.name_of,
            with_names=source.has_several and not task,
            with_timestamps=timestamps,
            containing=grep,
            since=oldest,
            task=task,
            output=output,
        )
        try:
            _print(source, printer, follow=follow, tail=tail)
        except KeyboardInterrupt:
            return ExitCode.INTERRUPTED  # nothing was changed and nothing is left: the code says it all
    return 0


@dataclass(kw_only=True)
class _Source:
    """The logs that are asked for: of a task, or of a job and the jobs below it."""

    api: Api
    found: Found
    has_several: bool = False
    """Whether lines need the names of their tasks."""

    has_sub_jobs: bool = False
    names: dict[str, str] = field(default_factory=dict)
    """Of tasks by their ids, those of sub-jobs after the names of the tasks that lead there."""

    prefixes: dict[str, str] = field(default_factory=dict)
    """Of jobs by their ids, those below theirs after that."""

    seen: dict[str, SeenParts] = field(default_factory=dict)
    """What was read of each job."""

    @classmethod
    def of(cls, api: Api, found: Found) -> _Source:
        """What the reference stands for, as it is now."""
        from torkctl.narration import has_several_tasks
        from torkctl.nesting import has_sub_jobs, sub_jobs

        source = cls(api=api, found=found)
        if not found.is_job:
            source.names[found.id] = api.task(found.id).name
            return source
        job = api.job(found.id)
        source.has_several = has_several_tasks(job)
        source.has_sub_jobs = has_sub_jobs(job.tasks)
        source.prefixes[job.id] = ""
        for report in [job, *sub_jobs(api, job).values()]:
            for task in report.execution:
                source.learn(report.id, task)
        return source

    def learn(self, job_id: str, task: TaskReport) -> None:
        """Remember what the task is called, and the job it stands for."""
        from torkctl.endings import SHORT_ID
        from torkctl.nesting import sub_job_id

        self.names[task.id] = self.prefixes[job_id] + (task.name or task.id[:SHORT_ID])
        if sub_job_id(task):
            self.prefixes[sub_job_id(task)] = self.names[task.id] + "/"

    def name_of(self, task_id: str) -> str:
        """The task's name, asked for once when it is not known."""
        from torkctl.endings import SHORT_ID

        if task_id not in self.names:
            try:
                task = self.api.task(task_id)
            except TorkError:
                self.names[task_id] = task_id[:SHORT_ID]
            else:
                self.names[task_id] = self.prefixes.get(task.job_id, "") + (task.name or task_id[:SHORT_ID])
        return self.names[task_id]

    def read(self) -> list[TaskLogPart]:
        """Every log as it is now, one job after the other."""
        from torkctl.client.following import SeenParts, read_log

        paths = {job_id: f"/jobs/{job_id}" for job_id in self.prefixes} or {self.found.id: self.found.path}
        parts: list[TaskLogPart] = []
        for thing_id, path in paths.items():
            self.seen[thing_id] = SeenParts()
            parts += read_log(self.api, path, seen=self.seen[thing_id])
        return parts

    def follow(self) -> Iterator[TaskLogPart]:
        """What was not read, until the end."""
        from torkctl.client.following import follow_log

        if self.has_sub_jobs:
            yield from self._follow_all()
            return
        seen = self.seen.get(self.found.id)
        is_active = lambda: _is_active(self.api, self.found)  # noqa: E731 - a word for the line below
        yield from follow_log(
            self.api,
            self.found.path,
            self.api.patience(),
            is_active=is_active,
            on_incomplete=diagnostics.log_is_incomplete,
            seen=seen,
        )

    def _follow_all(self) -> Iterator[TaskLogPart]:
        from torkctl.watching import JobLost, JobSeen, LogDone, LogSeen, SubJobSeen, Watch

        open_logs = {self.found.id}
        knows_all_tasks = False
        with closing(Watch(self.api, [self.found.id], with_logs=True, seen=self.seen)) as watch:
            while open_logs or not knows_all_tasks:
                item = watch.next(None)
                if isinstance(item, LogSeen):
                    yield item.part
                elif isinstance(item, SubJobSeen):
                    self.learn(item.job_id, item.task)
                    open_logs.add(item.sub_job_id)
                elif isinstance(item, JobLost) or (isinstance(item, LogDone) and item.error):
                    assert item.error
                    raise item.error
                elif isinstance(item, LogDone):
                    open_logs.discard(item.job_id)
                elif isinstance(item, JobSeen) and item.job_id == self.found.id:
                    knows_all_tasks = not item.job.state.is_active


def _print(source: _Source, printer: LogPrinter, *, follow: bool, tail: int | None) -> None:
    if not follow or tail is not None:
        printer.show_all(source.read(), tail=tail, is_whole=not follow)
    if follow:
        for part in source.follow():
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
