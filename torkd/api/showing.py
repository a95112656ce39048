"""Everything stored that leaves by the API goes through here: serialised first, then its secrets are hidden."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tork.job import Job, JobSummary
from tork.log import TaskLogPart
from tork.page import Page
from tork.schedule import ScheduledJob, ScheduledJobSummary
from tork.task import Task, TaskSummary
from torkd.api.media import plain
from torkd.datastore.protocol import Reading
from torkd.engine.nested_secrets import nested_secrets
from torkd.hooks.redact import Redactor
from torkd.middleware import Shown


class Showing:
    """Model values as documents that may be shown. Asks for secrets in one statement, however many jobs are shown."""

    def __init__(self, reading: Reading, redactor: Redactor, shown: Shown | None = None) -> None:
        """`shown` is what an operator registered to see, and to change, what is shown."""
        self._reading = reading
        self._redactor = redactor
        self._shown = shown or None

    def of_job(self, job_id: str, value: Any) -> Any:
        """Something that belongs to one job: the job itself, a task, a page of its log."""
        return self.with_secrets(value, self._reading.secrets_of(job_id).values())

    def with_secrets(self, value: Any, secrets: Iterable[str]) -> Any:
        """A value whose job has these secrets."""
        document = self._redactor.redact(plain(value), secrets)
        return document if self._shown is None else through_middleware(self._shown, value, document)

    def of_schedule(self, scheduled: ScheduledJob, value: Any) -> Any:
        """Something that belongs to a scheduled job: that job itself, or what it has just started."""
        return self.with_secrets(value, [*scheduled.secrets.values(), *nested_secrets(scheduled.tasks)])

    def page(self, page: Page[JobSummary]) -> Any:
        """A page of jobs."""
        document = plain(page)
        document["items"] = self.summaries(page.items)
        return document

    def summaries(self, jobs: list[JobSummary]) -> list[Any]:
        """Jobs in few words, each with its own secrets hidden."""
        secrets: Mapping[str, Mapping[str, str]] = (
            self._reading.secrets_of_each([job.id for job in jobs]) if jobs else {}
        )
        return [self.with_secrets(job, secrets.get(job.id, {}).values()) for job in jobs]


def through_middleware(shown: Shown, value: Any, document: Any) -> Any:
    """What middleware makes of the document of a value: of the tasks in a job first, then of the job."""
    match value:
        case Job():
            if shown.task and document.get("execution"):
                document["execution"] = [shown.task.change(task) for task in document["execution"]]
            return shown.job.change(document)
        case JobSummary() | ScheduledJob() | ScheduledJobSummary():
            return shown.job.change(document)
        case Task() | TaskSummary():
            return shown.task.change(document)
        case TaskLogPart():
            return shown.log.change(document)
        case Page() if shown.log and any(isinstance(item, TaskLogPart) for item in value.items):
            document["items"] = [shown.log.change(part) for part in document["items"]]
    return document
