"""The API's calls, a method each. Every call may be repeated safely, and is, while the server does not answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from tork.account import AuditEntry
from tork.diagnosis import Diagnosis, Treatment
from tork.errors import NotFound, StateConflict
from tork.job import JobState, JobSummary
from tork.log import TaskLogPart
from tork.node import Node, Queue
from tork.page import Page
from tork.task import TaskState
from torkctl.client.documents import HealthReport, JobReport, Submitted, TaskReport
from torkctl.client.patience import Patience
from torkctl.client.transport import Event, Transport
from torkctl.errors import NoAnswer, Refused, Unsupported

T = TypeVar("T")

LARGEST_JOB_PAGE = 20
LARGEST_LOG_PAGE = 100
_IS_JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True, kw_only=True)
class JobQuery:
    """Which jobs are wanted."""

    text: str = ""
    states: Sequence[str] = ()
    tags: Sequence[str] = ()
    id_prefix: str = ""


class Api:
    """The calls to one server. `patience` makes the budget for the retries of one call."""

    def __init__(self, transport: Transport, patience: Callable[[], Patience]) -> None:
        self.transport = transport
        self.patience = patience

    def health(self) -> HealthReport:
        """The server's health, asked once: a health check wants the present."""
        try:
            body = self.transport.send("GET", "/health", patience=Patience(window_seconds=0))
        except NoAnswer as error:
            if not error.body.startswith(b"{"):
                raise
            body = error.body
        return read(body, HealthReport)

    def figures(self) -> str:
        """All figures of the server, as Prometheus reads them."""
        accept = {"Accept": "text/plain"}
        return self.transport.send("GET", "/metrics", patience=self.patience(), headers=accept).decode(errors="replace")

    def diagnosis(self) -> Diagnosis:
        """Every invariant, and whether it holds."""
        return read(self._send("GET", "/doctor"), Diagnosis)

    def treat(self, *, dry_run: bool) -> Treatment:
        """Let the server repair what does not hold; safe to send again after a lost answer."""
        query = {"dryRun": "true" if dry_run else "false"}
        return read(self._send("POST", "/doctor/fix", query=query), Treatment)

    def submit(
        self, body: bytes, media_type: str, *, idempotency_key: str, patience: Patience | None = None
    ) -> tuple[Submitted, bytes]:
        """A new job, and the document about it. The key makes a repeated request the same submission."""
        headers = {"Content-Type": media_type, "Idempotency-Key": idempotency_key}
        answer = self._send("POST", "/jobs", body=body, headers=headers, patience=patience)
        return read(answer, Submitted), answer

    def schedule(self, body: bytes, media_type: str, *, idempotency_key: str) -> tuple[Submitted, bytes]:
        """A new scheduled job. Raises `Refused` when this server has no scheduler."""
        headers = {"Content-Type": media_type, "Idempotency-Key": idempotency_key}
        try:
            answer = self._send("POST", "/scheduled-jobs", body=body, headers=headers)
        except (NotFound, Unsupported) as error:
            raise Refused(
                "this server does not take scheduled jobs (right would be a file without 'schedule')"
            ) from error
        return read(answer, Submitted), answer

    def job_document(self, job_id: str, *, with_tasks: bool = True, patience: Patience | None = None) -> bytes:
        """Everything about a job, as the server says it, with or without the tasks that ran."""
        query = None if with_tasks else {"execution": "none"}
        return self._send("GET", f"/jobs/{_segment(job_id)}", query=query, patience=patience)

    def job(self, job_id: str, *, patience: Patience | None = None) -> JobReport:
        """A job with its tasks."""
        return read(self.job_document(job_id, patience=patience), JobReport)

    def job_summary(self, job_id: str, *, patience: Patience | None = None) -> JobSummary:
        """A job without its tasks: cheap however many there are."""
        answer = self._send("GET", f"/jobs/{_segment(job_id)}", query={"execution": "none"}, patience=patience)
        return read(answer, JobSummary)

    def outline(self, job_id: str, *, patience: Patience | None = None) -> JobReport:
        """A job with its definition, and without its tasks."""
        answer = self._send("GET", f"/jobs/{_segment(job_id)}", query={"execution": "none"}, patience=patience)
        return read(answer, JobReport)

    def task_document(self, task_id: str) -> bytes:
        """Everything about a task, as the server says it."""
        return self._send("GET", f"/tasks/{_segment(task_id)}")

    def task(self, task_id: str, *, patience: Patience | None = None) -> TaskReport:
        """A task."""
        return read(self._send("GET", f"/tasks/{_segment(task_id)}", patience=patience), TaskReport)

    def jobs(self, query: JobQuery, *, page: int = 1, size: int = LARGEST_JOB_PAGE) -> Page[JobSummary]:
        """One page of the jobs that match, newest first."""
        asked: dict[str, Any] = {"page": page, "size": size}
        if query.text:
            asked["q"] = query.text
        if query.states:
            asked["state"] = ",".join(query.states)
        if query.tags:
            asked["tag"] = ",".join(query.tags)
        if query.id_prefix:
            asked["idPrefix"] = query.id_prefix
        return read(self._send("GET", "/jobs", query=asked), Page[JobSummary])

    def log_page(self, path: str, *, page: int, patience: Patience | None = None) -> Page[TaskLogPart]:
        """One page of a log, newest part first. `path` is `/jobs/{id}` or `/tasks/{id}`."""
        query = {"page": page, "size": LARGEST_LOG_PAGE}
        return read(self._send("GET", f"{path}/log", query=query, patience=patience), Page[TaskLogPart])

    def queues(self, *, patience: Patience | None = None) -> list[Queue]:
        """The queues of tasks, of the coordinators and of nodes."""
        return read(self._send("GET", "/queues", patience=patience), list[Queue])

    def nodes(self, *, patience: Patience | None = None) -> list[Node]:
        """The nodes that were heard of lately."""
        return read(self._send("GET", "/nodes", patience=patience), list[Node])

    def acts(self, target: str, action: str, *, patience: Patience | None = None) -> list[AuditEntry]:
        """Who did that to the job or whatever has that id, the latest first. Raises `Denied` for all but admins."""
        query = {"target": target, "action": action}
        return read(self._send("GET", "/audit", query=query, patience=patience), Page[AuditEntry]).items

    def cancel(self, job_id: str) -> None:
        """Ask for the job's end. Raises `StateConflict` when it has ended already."""
        self._change(job_id, "cancel", took_effect=lambda state: state is JobState.CANCELLED)

    def restart(self, job_id: str) -> None:
        """Ask for the job to go on. Raises `StateConflict` unless it failed or was cancelled."""
        self._change(job_id, "restart", took_effect=lambda state: state.is_active)

    def retry(self, job_id: str, *, task_id: str = "") -> None:
        """Ask for what failed, or for one task, to be run again. Raises `StateConflict` when nothing is to be."""
        body = {"task": task_id} if task_id else {"failed": True}
        self._change(job_id, "retry", took_effect=lambda state: state.is_active, body=msgspec.json.encode(body))

    def skip(self, task_id: str, reason: str) -> None:
        """Ask for the job to go on without a task. Raises `StateConflict` when the task is done."""
        patience = self.patience()
        body = msgspec.json.encode({"reason": reason})
        try:
            self._send("PUT", f"/tasks/{_segment(task_id)}/skip", patience=patience, body=body, headers=_IS_JSON)
        except StateConflict:
            # Of a task that has failed another run is skipped: asked again after a lost answer, it is not the last any more.
            if not patience.failures or self.task(task_id).state is TaskState.COMPLETED:
                raise

    def events(self, path: str, *, last_event_id: str = "") -> AbstractContextManager[Iterator[Event]]:
        """A stream of what happens. Raises as `Transport.events` does."""
        return self.transport.events(path, last_event_id=last_event_id)

    def call(
        self,
        method: str,
        *segments: str,
        query: dict[str, Any] | None = None,
        document: Any = None,
        once: bool = False,
        is_settled: bool = False,
    ) -> bytes:
        """The answer to a request for the path of those segments, with a document if one is given.

        `once`: it must not be done twice, so a lost answer is an error. `is_settled`: when it comes after a lost answer, a
        refusal means that the lost request was carried out; of a DELETE, so does what is not found.
        """
        patience = self.patience()
        patience.once = once
        path = "/" + "/".join(map(_segment, segments))
        body = None if document is None else msgspec.json.encode(document)
        headers = None if body is None else _IS_JSON
        try:
            return self.transport.send(method, path, patience=patience, query=query, body=body, headers=headers)
        except StateConflict:
            if not (patience.failures and is_settled):
                raise
        except NotFound:
            if not (patience.failures and method == "DELETE"):
                raise
        return b"{}"

    def _change(
        self, job_id: str, verb: str, *, took_effect: Callable[[JobState], bool], body: bytes | None = None
    ) -> None:
        """A refusal after a lost answer may only mean that the lost request was carried out."""
        patience = self.patience()
        try:
            headers = _IS_JSON if body is not None else None
            self._send("PUT", f"/jobs/{_segment(job_id)}/{verb}", patience=patience, body=body, headers=headers)
        except StateConflict:
            if not patience.failures or not took_effect(self.job_summary(job_id).state):
                raise

    def _send(
        self,
        method: str,
        path: str,
        *,
        patience: Patience | None = None,
        query: dict[str, Any] | None = None,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> bytes:
        budget = patience or self.patience()
        try:
            return self.transport.send(method, path, patience=budget, query=query, body=body, headers=headers)
        except NotFound as error:
            _, kind, *rest = path.split("/")
            raise NotFound(f"there is no {kind.removesuffix('s')} {rest[0]}") if rest else error from error


def _segment(text: str) -> str:
    return quote(text, safe="")


def read(body: bytes | str, to: type[T]) -> T:
    """An answer as a value. Raises `NoAnswer` when it can't be one."""
    try:
        return msgspec.json.decode(body, type=to)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NoAnswer(f"the server's answer is not one of Tork's API: {error}") from error
