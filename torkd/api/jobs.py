"""`/jobs`: submitting, listing and reading jobs, cancelling, restarting and retrying them, and following them live."""

from __future__ import annotations

from typing import Annotated

import falcon
from msgspec import Meta

from tork.job import Job, JobState, JobSummary
from tork.log import TaskLogPart
from tork.page import Page
from tork.wire import Told
from torkd.api.auth import caller_of
from torkd.api.commands import Commands
from torkd.api.documents import SMALL_BODY, read_document
from torkd.api.errors import refusal
from torkd.api.large_job import MANY_TASKS, answer_in_parts
from torkd.api.media import answer
from torkd.api.openapi import JOB_FILE
from torkd.api.operations import (
    EVENT_STREAM,
    JSON,
    LAST_EVENT,
    LOG_PAGE,
    YAML,
    Body,
    Done,
    integer,
    operation,
    paging,
    text,
    texts,
)
from torkd.api.paging import listed, log_page_size, page_number, page_size
from torkd.api.showing import Showing
from torkd.api.streams import JobFeed, LogFeed, StreamHub, resume_after
from torkd.api.submission import LONGEST_KEY, Submission
from torkd.datastore.protocol import ExecutionPage, JobQuery, Reading

_ACCEPTED = {"status": "OK"}


class GivenRetry(Told, frozen=True, kw_only=True):
    """What is to be run again: one of the two."""

    failed: Annotated[bool, Meta(description="All that failed, or was cancelled before its end")] = False
    task: Annotated[str, Meta(description="The id of one task, in the job or in a sub-job of it")] = ""


class JobsResource:
    """All jobs."""

    def __init__(self, reading: Reading, showing: Showing, submission: Submission) -> None:
        self._reading = reading
        self._showing = showing
        self._submission = submission

    @operation(
        "A page of jobs, newest first",
        answer=Page[JobSummary],
        parameters=(
            *paging(default=10, most=20),
            text(
                "q", "Words that must all be in name, description or state; tag:NAME among them for one of these tags"
            ),
            texts("state", "Only jobs in one of these states", {"enum": list(JobState)}),
            texts("tag", "Only jobs with one of these tags"),
            text("idPrefix", "Only jobs whose id starts with this"),
            text("schedule", "Only jobs of this scheduled job"),
        ),
    )
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        query = JobQuery(
            text=req.get_param("q") or "",
            states=tuple(_state(name) for name in listed(req, "state")),
            tags=listed(req, "tag"),
            id_prefix=req.get_param("idPrefix") or "",
            schedule_id=req.get_param("schedule") or "",
            viewer=caller_of(req).viewer,
        )
        page = self._reading.list_jobs(query, page=page_number(req), size=page_size(req, default=10, most=20))
        answer(req, resp, self._showing.page(page))

    @operation(
        "Submit a job: its summary, or with wait the whole job when it has ended",
        answer=(JobSummary, Job),
        body=Body(kind=JOB_FILE, media=(JSON, *YAML)),
        parameters=(text("Idempotency-Key", "Makes sending it again safe", place="header", maxLength=LONGEST_KEY),),
        errors=(408, 410, 422),
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        self._submission.take(req, resp)


class JobResource:
    """One job."""

    def __init__(self, reading: Reading, showing: Showing, commands: Commands, streams: StreamHub) -> None:
        self._reading = reading
        self._showing = showing
        self._commands = commands
        self._streams = streams

    @operation(
        "A job with its execution",
        answer=Job,
        parameters=(
            text("execution", "Leaves the execution out", enum=["none"]),
            integer("executionPage", "Only a page of the execution, counted from 1", default=1),
            integer("executionSize", "How many tasks such a page has at most, up to 1000", default=100),
        ),
    )
    def on_get(self, req: falcon.Request, resp: falcon.Response, job_id: str) -> None:
        page = _execution_page(req)
        job = self._reading.get_job(job_id, page or ExecutionPage(size=MANY_TASKS))
        if page is None and len(job.execution) >= MANY_TASKS:
            answer_in_parts(req, resp, job, self._reading, self._showing)
        else:
            answer(req, resp, self._showing.of_job(job_id, job))

    @operation("A page of the job's log, newest part first", answer=Page[TaskLogPart], parameters=LOG_PAGE)
    def on_get_log(self, req: falcon.Request, resp: falcon.Response, job_id: str) -> None:
        page = self._reading.job_log(
            job_id, text=req.get_param("q") or "", page=page_number(req), size=log_page_size(req)
        )
        answer(req, resp, self._showing.of_job(job_id, page))

    @operation("Cancel a job that has not ended", answer=Done)
    def on_put_cancel(self, req: falcon.Request, resp: falcon.Response, job_id: str) -> None:
        self._commands.cancel(job_id)
        answer(req, resp, dict(_ACCEPTED))

    @operation("Run a failed or cancelled job again, from its current task on", answer=Done)
    def on_put_restart(self, req: falcon.Request, resp: falcon.Response, job_id: str) -> None:
        self._commands.restart(job_id)
        answer(req, resp, dict(_ACCEPTED))

    @operation(
        "Run again what failed in a job, or one task of it, and keep what went well",
        answer=Done,
        body=Body(kind=GivenRetry),
    )
    def on_put_retry(self, req: falcon.Request, resp: falcon.Response, job_id: str) -> None:
        given = read_document(req, GivenRetry, limit=SMALL_BODY)
        if given.failed == bool(given.task):
            raise refusal(400, 'say what is to be run again (right would be {"failed": true} or {"task": "ID"})')
        req.context.detail = given.task
        self._commands.retry(job_id, task_id=given.task)
        answer(req, resp, dict(_ACCEPTED))

    @operation("The job's changes, live", media=EVENT_STREAM, parameters=(LAST_EVENT,))
    def on_get_events(self, req: falcon.Request, resp: falcon.Response, job_id: str) -> None:
        self._reading.get_summary(job_id)
        feed = JobFeed(self._reading, self._showing, job_id=job_id, after=resume_after(req))
        self._streams.answer(req, resp, feed)

    @operation("The job's log, live", media=EVENT_STREAM, parameters=(LAST_EVENT,))
    def on_get_log_stream(self, req: falcon.Request, resp: falcon.Response, job_id: str) -> None:
        self._reading.get_summary(job_id)
        feed = LogFeed(self._reading, self._showing, job_id=job_id, after=resume_after(req))
        self._streams.answer(req, resp, feed)


def _state(name: str) -> JobState:
    try:
        return JobState(name.upper())
    except ValueError:
        raise refusal(400, f"unknown state: {name} (right would be one of {', '.join(JobState)})") from None


def _execution_page(req: falcon.Request) -> ExecutionPage | None:
    """None for the whole execution, which is the default."""
    wanted = req.get_param("execution")
    if wanted == "none":
        return ExecutionPage(size=0)
    if wanted:
        raise refusal(400, f"invalid execution: {wanted} (right would be none)")
    if "executionPage" in req.params or "executionSize" in req.params:
        size = page_size(req, "executionSize", default=100, most=1000)
        return ExecutionPage(number=page_number(req, "executionPage"), size=size)
    return None
