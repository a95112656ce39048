"""Everything stored that leaves by the API goes through here: serialised first, then its secrets are hidden."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tork.job import JobSummary
from tork.page import Page
from torkd.api.media import plain
from torkd.datastore.protocol import Reading
from torkd.hooks.redact import Redactor


class Showing:
    """Model values as documents that may be shown. Asks for secrets in one statement, however many jobs are shown."""

    def __init__(self, reading: Reading, redactor: Redactor) -> None:
        self._reading = reading
        self._redactor = redactor

    def of_job(self, job_id: str, value: Any) -> Any:
        """Something that belongs to one job: the job itself, a task, a page of its log."""
        return self.with_secrets(value, self._reading.secrets_of(job_id).values())

    def with_secrets(self, value: Any, secrets: Iterable[str]) -> Any:
        """A value whose job has these secrets."""
        return self._redactor.redact(plain(value), secrets)

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
