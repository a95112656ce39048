"""`POST /jobs`: from a body to an accepted job, once for each idempotency key, and waiting for it if the job asks so."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import falcon
from msgspec.structs import replace

from tork.account import GUEST_USERNAME, User
from tork.definition import read_job, unsupported
from tork.durations import parse_seconds
from tork.errors import Unavailable
from tork.job import JobDefinition, JobState, JobSummary
from torkd.api.auth import caller_of
from torkd.api.commands import Commands
from torkd.api.errors import refusal
from torkd.api.media import answer, format_of, read_body
from torkd.api.showing import Showing
from torkd.api.streams import StreamHub, WaitFeed
from torkd.datastore.protocol import Accepted, IdempotencyKey, Reading

LONGEST_KEY = 255


class Submission:
    """Takes submissions."""

    def __init__(
        self,
        reading: Reading,
        showing: Showing,
        commands: Commands,
        streams: StreamHub,
        *,
        body_limit: int,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._reading = reading
        self._showing = showing
        self._commands = commands
        self._streams = streams
        self._body_limit = body_limit
        self._now = now
        self._account: User | None = None
        """Of whom all jobs are, as it is stored, once a job of theirs was seen."""

    def take(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Accept the job in the body, and answer with it."""
        kind = format_of(req.content_type)
        body = read_body(req, self._body_limit)
        definition = read_job(body, format=kind, schedule="refused")
        if keys := unsupported(definition):
            raise refusal(400, f"not supported by this version yet: {', '.join(keys)} (right would be a job without)")
        accepted = self._commands.submit(definition, key=_idempotency_key(req, body))
        if definition.wait is not None:
            seconds = parse_seconds(definition.wait.timeout)
            pretty = "pretty" in req.params
            feed = WaitFeed(self._reading, self._showing, job_id=accepted.job_id, seconds=seconds, pretty=pretty)
            self._streams.answer(req, resp, feed)
            return
        summary = self._summary(accepted, definition)
        answer(req, resp, self._showing.with_secrets(summary, definition.secrets.values()))

    def _summary(self, accepted: Accepted, definition: JobDefinition) -> JobSummary:
        """The job as it was submitted; one that was there before, as it is."""
        if accepted.created_at is not None and self._account is not None:
            return _as_submitted(accepted.job_id, definition, accepted.created_at, self._account)
        try:
            stored = self._reading.get_summary(accepted.job_id)
        except Unavailable:
            # The job is stored. An error now would make the client send it again.
            now = accepted.created_at or self._now()
            return _as_submitted(accepted.job_id, definition, now, User(username=GUEST_USERNAME))
        if accepted.repeated:
            return stored
        self._account = stored.created_by
        return replace(
            stored, state=JobState.PENDING, position=0, started_at=None, completed_at=None, result="", progress=0
        )


def _as_submitted(job_id: str, definition: JobDefinition, now: datetime, account: User) -> JobSummary:
    return JobSummary(
        id=job_id,
        created_by=account,
        name=definition.name,
        description=definition.description,
        tags=definition.tags,
        inputs=definition.inputs,
        state=JobState.PENDING,
        created_at=now,
        position=0,
        task_count=len(definition.tasks),
    )


def _idempotency_key(req: falcon.Request, body: bytes) -> IdempotencyKey | None:
    key = req.get_header("Idempotency-Key")
    if not key:
        return None
    if len(key) > LONGEST_KEY:
        raise refusal(400, f"the Idempotency-Key has {len(key)} characters (right would be at most {LONGEST_KEY})")
    return IdempotencyKey(owner=caller_of(req), key=key, body=body)
