"""What a person or a pipe gets while jobs go on: log lines on stdout, changes of state on stderr.

With `-o jsonl` everything is one document a line on stdout; with `-o json` and `yaml` stdout stays empty until the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tork.errors import TorkError
from tork.job import JobDefinition, JobSummary
from tork.task import TaskSummary
from torkctl import diagnostics
from torkctl.client import Api
from torkctl.client.documents import JobReport
from torkctl.endings import SHORT_ID
from torkctl.output import stdout
from torkctl.output.logs import LogPrinter
from torkctl.settings import OutputFormat
from torkctl.task_notices import TaskNotices
from torkctl.watching import Item, JobSeen, LogDone, LogSeen, SubJobSeen, TaskSeen


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
    _notices: TaskNotices = field(init=False)
    _printers: dict[str, LogPrinter] = field(default_factory=dict)
    _jobs: dict[str, JobSummary] = field(default_factory=dict)
    _paths: dict[str, str] = field(default_factory=dict)
    """Of each sub-job, the tasks that lead to it."""

    _roots: dict[str, str] = field(default_factory=dict)
    """Of each sub-job, the job that is waited for."""

    def __post_init__(self) -> None:
        self._names = TaskNames(api=self.api)
        self._notices = TaskNotices(api=self.api, name_of=lambda task: self._path(task.job_id, task.id))

    def show(self, item: Item) -> None:
        """Write what the item says where it belongs."""
        if self.output is OutputFormat.JSONL:
            _write_event(item, is_awaited=item.job_id not in self._paths)
        if isinstance(item, JobSeen):
            self._tell_job(item.job)
        elif isinstance(item, TaskSeen):
            self._tell_task(item.task, item.job_id)
        elif isinstance(item, SubJobSeen):
            self._names.learn(item.task.id, item.task.name)
            self._roots[item.sub_job_id] = self._roots.get(item.job_id, item.job_id)
            self._paths[item.sub_job_id] = self._path(item.job_id, item.task.id) + "/"
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
        is_news = before is None or before.state is not job.state
        if job.state.is_active and is_news and job.id not in self._paths:
            diagnostics.notice(f"job {job.id[:SHORT_ID]} {job.state.value}")

    def _tell_task(self, task: TaskSummary, job_id: str) -> None:
        self._names.learn(task.id, task.name)
        has_ended = task.state is not None and not task.state.is_active
        if has_ended and self._shows_logs and job_id in self._printers:
            self._printer(job_id).finish(of_tasks=lambda task_id: task_id == task.id)
        for text in self._notices.of(task):
            diagnostics.notice(text)

    def _printer(self, job_id: str) -> LogPrinter:
        if job_id not in self._printers:
            self._printers[job_id] = LogPrinter(
                name_of=lambda task_id: self._label(job_id, task_id), with_names=self.with_names or self.several_jobs
            )
        return self._printers[job_id]

    def _path(self, job_id: str, task_id: str) -> str:
        """The task's name, after those of the tasks that lead to its job."""
        return self._paths.get(job_id, "") + self._names.of(task_id)

    def _label(self, job_id: str, task_id: str) -> str:
        path = self._path(job_id, task_id)
        if not self.several_jobs:
            return path
        root_id = self._roots.get(job_id, job_id)
        job = self._jobs.get(root_id)
        return f"{(job.name if job else '') or root_id[:SHORT_ID]}/{path}"


def has_several_tasks(job: JobDefinition | JobReport) -> bool:
    """Whether a log line of the job needs the name of its task."""
    return len(job.tasks) > 1 or any(task.each or task.parallel or task.subjob for task in job.tasks)


def any_has_several_tasks(jobs: Sequence[JobDefinition | JobReport]) -> bool:
    """Whether that is so for one of the jobs."""
    return any(has_several_tasks(job) for job in jobs)


def write_submission_event(job_id: str, document: bytes) -> None:
    """The first event of a job that was submitted: the server's answer, as it is."""
    import msgspec

    stdout.write_document({"event": "submitted", "jobId": job_id, "data": msgspec.Raw(document)}, OutputFormat.JSONL)


def _write_event(item: Item, *, is_awaited: bool) -> None:
    """Only the end of a job that is waited for is called `end`: readers stop there."""
    if isinstance(item, JobSeen):
        kind = "end" if is_awaited and not item.job.state.is_active else "job"
        stdout.write_document({"event": kind, "jobId": item.job_id, "data": item.job}, OutputFormat.JSONL)
    elif isinstance(item, TaskSeen):
        stdout.write_document({"event": "task", "jobId": item.job_id, "data": item.task}, OutputFormat.JSONL)
    elif isinstance(item, LogSeen):
        stdout.write_document({"event": "log", "jobId": item.job_id, "data": item.part}, OutputFormat.JSONL)
