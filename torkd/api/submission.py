"""`POST /jobs`: from a body to an accepted job, once for each idempotency key, and waiting for it if the job asks so."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import falcon
from msgspec.structs import replace

from tork.account import GUEST_ID, GUEST_USERNAME, User
from tork.definition import read_job
from tork.durations import parse_seconds
from tork.errors import NotFound, Unavailable
from tork.job import JobDefinition, JobState, JobSummary
from torkd.accounts.caller import Caller
from torkd.api.admission import admit, viewers_of
from torkd.api.auth import caller_of
from torkd.api.commands import Commands
from torkd.api.errors import refusal
from torkd.api.media import answer, format_of, read_body
from torkd.api.permissions import act_of
from torkd.api.showing import Showing
from torkd.api.streams import StreamHub, WaitFeed
from torkd.datastore.account_protocol import Accounts, Submitter
from torkd.datastore.protocol import Accepted, IdempotencyKey, Reading
from torkd.middleware import Chain

LONGEST_KEY = 255


class Submission:
    """Takes submissions."""

    def __init__(
        self,
        reading: Reading,
        showing: Showing,
        commands: Commands,
        streams: StreamHub,
        accounts: Accounts,
        *,
        body_limit: int,
        writes_down: bool = False,
        submitted: Chain | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`submitted` is what an operator registered to see a job before it is accepted."""
        self._reading = reading
        self._showing = showing
        self._commands = commands
        self._streams = streams
        self._accounts = accounts
        self._body_limit = body_limit
        self._writes_down = writes_down
        self._submitted = submitted or Chain()
        self._now = now
        self._account: User | None = None
        """The guest's, as it is stored, once a job of theirs was seen."""

    def take(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Accept the job in the body, and answer with it."""
        kind = format_of(req.content_type)
        body = read_body(req, self._body_limit)
        definition, accepted = self.accept(
            req, read_job(body, format=kind, schedule="refused"), idempotency_key(req, body)
        )
        caller = caller_of(req)
        if definition.wait is not None:
            seconds = parse_seconds(definition.wait.timeout)
            pretty = "pretty" in req.params
            feed = WaitFeed(self._reading, self._showing, job_id=accepted.job_id, seconds=seconds, pretty=pretty)
            self._streams.answer(req, resp, feed)
            return
        summary = self._summary(accepted, definition, caller)
        answer(req, resp, self._showing.with_secrets(summary, definition.secrets.values()))

    def accept(
        self, req: falcon.Request, definition: JobDefinition, key: IdempotencyKey | None
    ) -> tuple[JobDefinition, Accepted]:
        """See a definition through middleware and accept it, as the caller's: what it has become, and its job."""
        definition, submitter = self._admit(req, definition, "job.submit")
        accepted = self._commands.submit(definition, key=key, submitter=submitter)
        req.context.submitted_job_id = accepted.job_id  # for whoever traces the request
        return definition, accepted

    def accept_scheduled(
        self, req: falcon.Request, definition: JobDefinition, key: IdempotencyKey | None
    ) -> tuple[JobDefinition, Accepted]:
        """The same of one that starts again and again: what it has become, and its schedule."""
        definition, submitter = self._admit(req, definition, "schedule.submit")
        return definition, self._commands.schedule(definition, key=key, submitter=submitter)

    def _admit(self, req: falcon.Request, definition: JobDefinition, action: str) -> tuple[JobDefinition, Submitter]:
        caller = caller_of(req)
        definition = admit(definition, caller, self._submitted)
        act = act_of(req, action) if self._writes_down else None
        return definition, Submitter(user_id=caller.user_id, viewers=viewers_of(self._accounts, definition), act=act)

    def _summary(self, accepted: Accepted, definition: JobDefinition, caller: Caller) -> JobSummary:
        """The job as it was submitted; one that was there before, as it is."""
        account = caller.user or (self._account if caller.user_id == GUEST_ID else None)
        if accepted.created_at is not None and account is not None:
            return _as_submitted(accepted.job_id, definition, accepted.created_at, account)
        try:
            stored = self._reading.get_summary(accepted.job_id)
        except NotFound:
            raise removed("job", accepted.job_id) from None
        except Unavailable:
            # The job is stored. An error now would make the client send it again.
            now = accepted.created_at or self._now()
            return _as_submitted(accepted.job_id, definition, now, account or User(username=GUEST_USERNAME))
        if accepted.repeated:
            return stored
        if caller.user_id == GUEST_ID:
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


def removed(what: str, its_id: str) -> falcon.HTTPError:
    """The answer to a key whose job is not there any more: neither that job, nor a new one."""
    message = f"{what} {its_id}, which the idempotency key was used for, was removed (use a new key for a new {what})"
    return refusal(410, message)


def idempotency_key(req: falcon.Request, body: bytes) -> IdempotencyKey | None:
    """What makes sending the same again the same submission, if the client says it."""
    key = req.get_header("Idempotency-Key")
    if not key:
        return None
    if len(key) > LONGEST_KEY:
        raise refusal(400, f"the Idempotency-Key has {len(key)} characters (right would be at most {LONGEST_KEY})")
    caller = caller_of(req)
    owner = GUEST_USERNAME if caller.user_id == GUEST_ID else caller.user_id
    return IdempotencyKey(owner=owner, key=key, body=body)
