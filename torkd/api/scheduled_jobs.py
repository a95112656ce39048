"""`/scheduled-jobs`: jobs that start again and again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import falcon

from tork.definition import CronError, read_scheduled_job
from tork.errors import NotFound, StateConflict, Unavailable
from tork.fire_times import FireTimes
from tork.job import JobDefinition, JobState, JobSummary, ScheduleReference
from tork.page import Page
from tork.schedule import FireTimesAnswer, ScheduledJob, ScheduledJobSummary, ScheduleState, summary_of
from torkd.api.auth import caller_of
from torkd.api.commands import Commands
from torkd.api.errors import refusal
from torkd.api.media import answer, format_of, plain, read_body
from torkd.api.openapi import JOB_FILE
from torkd.api.operations import JSON, YAML, Body, Done, integer, operation, paging, text
from torkd.api.paging import bounded, page_number, page_size
from torkd.api.showing import Showing
from torkd.api.submission import LONGEST_KEY, Submission, idempotency_key, removed
from torkd.datastore.protocol import Accepted, Reading

_ACCEPTED = {"status": "OK"}
_FIRE_TIMES, _MOST_FIRE_TIMES = 5, 100


class ScheduledJobsResource:
    """All of them."""

    def __init__(
        self,
        reading: Reading,
        showing: Showing,
        submission: Submission,
        *,
        body_limit: int,
    ) -> None:
        self._reading = reading
        self._showing = showing
        self._submission = submission
        self._body_limit = body_limit

    @operation(
        "A page of scheduled jobs, newest first",
        answer=Page[ScheduledJobSummary],
        parameters=paging(default=10, most=20),
    )
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        size = page_size(req, default=10, most=20)
        page = self._reading.list_schedules(page=page_number(req), size=size, viewer=caller_of(req).viewer)
        document = plain(page)
        document["items"] = [self._showing.of_schedule(item, summary_of(item)) for item in page.items]
        answer(req, resp, document)

    @operation(
        "Submit a job that starts again and again: its summary",
        answer=ScheduledJobSummary,
        body=Body(kind=JOB_FILE, media=(JSON, *YAML)),
        parameters=(text("Idempotency-Key", "Makes sending it again safe", place="header", maxLength=LONGEST_KEY),),
        errors=(410, 422),
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        if not req.content_type:
            raise refusal(400, "unknown content type: ")
        kind = format_of(req.content_type)
        body = read_body(req, self._body_limit)
        given = read_scheduled_job(body, format=kind)
        definition, accepted = self._submission.accept_scheduled(req, given, idempotency_key(req, body))
        scheduled = self._stored(accepted, definition)
        answer(req, resp, self._showing.of_schedule(scheduled, summary_of(scheduled)))

    def _stored(self, accepted: Accepted, definition: JobDefinition) -> ScheduledJob:
        try:
            return self._reading.get_schedule(accepted.job_id)
        except NotFound:
            raise removed("scheduled job", accepted.job_id) from None
        except Unavailable:
            # It is stored. An error now would make the client send it again.
            return ScheduledJob(
                id=accepted.job_id,
                state=ScheduleState.ACTIVE,
                name=definition.name,
                description=definition.description,
                tags=definition.tags,
                inputs=definition.inputs,
                tasks=definition.tasks,
                secrets=definition.secrets,
                created_at=accepted.created_at or datetime.now(UTC),
                cron=definition.schedule.cron if definition.schedule else "",
            )


class ScheduledJobResource:
    """One of them."""

    def __init__(
        self,
        reading: Reading,
        showing: Showing,
        commands: Commands,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._reading = reading
        self._showing = showing
        self._commands = commands
        self._now = now

    @operation("A scheduled job, with everything about it", answer=ScheduledJob)
    def on_get(self, req: falcon.Request, resp: falcon.Response, schedule_id: str) -> None:
        scheduled = self._reading.get_schedule(schedule_id)
        answer(req, resp, self._showing.of_schedule(scheduled, scheduled))

    @operation("Remove it with all its jobs; those that are active are cancelled", answer=Done)
    def on_delete(self, req: falcon.Request, resp: falcon.Response, schedule_id: str) -> None:
        self._commands.delete_schedule(schedule_id)
        answer(req, resp, dict(_ACCEPTED))

    @operation("Let it fire no more, until it is resumed", answer=Done)
    def on_put_pause(self, req: falcon.Request, resp: falcon.Response, schedule_id: str) -> None:
        self._commands.pause_schedule(schedule_id)
        answer(req, resp, dict(_ACCEPTED))

    @operation("Let it fire again", answer=Done)
    def on_put_resume(self, req: falcon.Request, resp: falcon.Response, schedule_id: str) -> None:
        self._commands.resume_schedule(schedule_id)
        answer(req, resp, dict(_ACCEPTED))

    @operation("Start its job now, beside its ticks: the job's summary", answer=JobSummary)
    def on_put_run(self, req: falcon.Request, resp: falcon.Response, schedule_id: str) -> None:
        scheduled = self._reading.get_schedule(schedule_id)
        accepted = self._commands.run_schedule(schedule_id)
        summary = self._started(accepted, scheduled)
        answer(req, resp, self._showing.of_schedule(scheduled, summary))

    @operation(
        "When it fires next, or would if it were not paused",
        answer=FireTimesAnswer,
        parameters=(integer("count", f"How many times at most, up to {_MOST_FIRE_TIMES}", default=_FIRE_TIMES),),
    )
    def on_get_next(self, req: falcon.Request, resp: falcon.Response, schedule_id: str) -> None:
        count = bounded(req, "count", default=_FIRE_TIMES, most=_MOST_FIRE_TIMES)
        scheduled = self._reading.get_schedule(schedule_id)
        try:
            times = FireTimes.of_text(scheduled.cron, zone=scheduled.zone, created_at=scheduled.created_at)
        except CronError as error:
            raise StateConflict(f"scheduled job can't fire: {error}") from error
        told = FireTimesAnswer(cron=scheduled.cron, zone=times.zone, times=times.coming(self._now(), count))
        answer(req, resp, self._showing.of_schedule(scheduled, told))

    def _started(self, accepted: Accepted, scheduled: ScheduledJob) -> JobSummary:
        try:
            return self._reading.get_summary(accepted.job_id)
        except Unavailable:
            # It has started. An error now would make the client start another.
            return JobSummary(
                id=accepted.job_id,
                name=scheduled.name,
                state=JobState.PENDING,
                created_at=accepted.created_at or self._now(),
                position=0,
                schedule=ScheduleReference(id=scheduled.id, cron=scheduled.cron),
            )
