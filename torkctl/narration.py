"""What a person or a pipe gets while jobs go on: log lines on stdout, changes of state on stderr.

With `-o jsonl` everything is one document a line on stdout; with `-o json` and `yaml` stdout stays empty until the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tork.errors import TorkError
from tork.job import JobDefinition, JobSummary
from tork.task import TaskState, TaskSummary
from torkctl import diagnostics
from torkctl.client import Api
from torkctl.client.documents import JobReport
from torkctl.endings import SHORT_ID
from torkctl.output import stdout
from torkctl.output.logs import LogPrinter
from torkctl.output.times import span
from torkctl.settings import OutputFormat
from torkctl.watching import Item, JobSeen, LogDone, LogSeen, TaskSeen

_ENDED_AND_TOLD = {TaskState.COMPLETED, TaskState.FAILED, TaskState.SKIPPED, TaskState.CANCELLED, TaskState.STOPPED}
_MANY_TASKS = 200
"""A job with more tasks than this tells only of those that fail."""


@dataclass(kw_only=True)
class TaskNames:
    """The names of tasks by their id, asked of the server once when an event did not bring them."""

    api: Api
    _known: dict[str, str] = field(default_factory=dict)

    def learn(self, task_id: str, name: str) -> None:
        """Remember a name."""
        self._known[task_id] = name or task_id[:SHORT_ID]

    def of(self, task_id: str) -> str:
        """The task's name, or the start of its id when it has none."""
        if task_id not in self._known:
            try:
                self.learn(task_id, self.api.task(task_id).name)
            except TorkError as error:
                diagnostics.detail(f"the name of task {task_id} is not known: {error}")
                self.learn(task_id, "")
        return self._known[task_id]


@dataclass(kw_only=True)
class Narrator:
    """Shows the items of a watch."""

    api: Api
    output: OutputFormat
    with_names: bool
    """Whether log lines say which task printed them."""

    several_jobs: bool = False
    _names: TaskNames = field(init=False)
    _printers: dict[str, LogPrinter] = field(default_factory=dict)
    _jobs: dict[str, JobSummary] = field(default_factory=dict)
    _states: dict[str, TaskState | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._names = TaskNames(api=self.api)

    def show(self, item: Item) -> None:
        """Write what the item says where it belongs."""
        if self.output is OutputFormat.JSONL:
            _write_event(item)
        if isinstance(item, JobSeen):
            self._tell_job(item.job)
        elif isinstance(item, TaskSeen):
            self._tell_task(item.task, item.job_id)
        elif isinstance(item, LogSeen) and self._shows_logs:
            self._printer(item.job_id).show(item.part)
        elif isinstance(item, LogDone) and self._shows_logs:
            self._printer(item.job_id).finish()

    @property
    def _shows_logs(self) -> bool:
        return self.output in {OutputFormat.TABLE, OutputFormat.WIDE, OutputFormat.NAME}

    def _tell_job(self, job: JobSummary) -> None:
        before = self._jobs.get(job.id)
        self._jobs[job.id] = job
        if job.state.is_active and (before is None or before.state is not job.state):
            diagnostics.notice(f"job {job.id[:SHORT_ID]} {job.state.value}")

    def _tell_task(self, task: TaskSummary, job_id: str) -> None:
        self._names.learn(task.id, task.name)
        if self._states.get(task.id) is task.state:
            return
        self._states[task.id] = task.state
        is_notable = not task.parent_id and len(self._states) <= _MANY_TASKS
        if task.state is TaskState.RUNNING and is_notable:
            diagnostics.notice(f"task '{self._names.of(task.id)}' RUNNING")
        elif task.state in _ENDED_AND_TOLD:
            if self._shows_logs and job_id in self._printers:
                self._printer(job_id).finish(of_tasks=lambda task_id: task_id == task.id)
            if is_notable or task.state is TaskState.FAILED:
                diagnostics.notice(_task_ending(task, self._names.of(task.id)))

    def _printer(self, job_id: str) -> LogPrinter:
        if job_id not in self._printers:
            self._printers[job_id] = LogPrinter(
                name_of=lambda task_id: self._label(job_id, task_id), with_names=self.with_names or self.several_jobs
            )
        return self._printers[job_id]

    def _label(self, job_id: str, task_id: str) -> str:
        task_name = self._names.of(task_id)
        if not self.several_jobs:
            return task_name
        job = self._jobs.get(job_id)
        return f"{(job.name if job else '') or job_id[:SHORT_ID]}/{task_name}"


def has_several_tasks(job: JobDefinition | JobReport) -> bool:
    """Whether a log line of the job needs the name of its task."""
    return len(job.tasks) > 1 or any(task.each or task.parallel for task in job.tasks)


def any_has_several_tasks(jobs: Sequence[JobDefinition | JobReport]) -> bool:
    """Whether that is so for one of the jobs."""
    return any(has_several_tasks(job) for job in jobs)


def _task_ending(task: TaskSummary, name: str) -> str:
    duration = span(task.started_at, task.completed_at or task.failed_at)
    after = f" after {duration}" if duration != "-" else ""
    return f"task '{name}' {task.state.value if task.state else ''}{after}"


def _write_event(item: Item) -> None:
    if isinstance(item, JobSeen):
        kind = "job" if item.job.state.is_active else "end"
        stdout.write_document({"event": kind, "jobId": item.job_id, "data": item.job}, OutputFormat.JSONL)
    elif isinstance(item, TaskSeen):
        stdout.write_document({"event": "task", "jobId": item.job_id, "data": item.task}, OutputFormat.JSONL)
    elif isinstance(item, LogSeen):
        stdout.write_document({"event": "log", "jobId": item.job_id, "data": item.part}, OutputFormat.JSONL)
