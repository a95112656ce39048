"""`/tasks`: one task, its log, and going on without it."""

from __future__ import annotations

from typing import Annotated

import falcon
from msgspec import Meta

from tork.log import TaskLogPart
from tork.page import Page
from tork.task import Task
from tork.wire import Told
from torkd.api.commands import Commands
from torkd.api.documents import SMALL_BODY, read_document
from torkd.api.errors import refusal
from torkd.api.media import answer
from torkd.api.operations import EVENT_STREAM, LAST_EVENT, LOG_PAGE, Body, Done, operation
from torkd.api.paging import log_page_size, page_number
from torkd.api.showing import Showing
from torkd.api.streams import LogFeed, StreamHub, resume_after
from torkd.datastore.protocol import Reading


class GivenSkip(Told, frozen=True, kw_only=True):
    """Why the job is to go on without the task."""

    reason: Annotated[str, Meta(description="For those who look at the job later", max_length=1_000)] = ""


class TaskResource:
    """A task of a job."""

    def __init__(self, reading: Reading, showing: Showing, commands: Commands, streams: StreamHub) -> None:
        self._reading = reading
        self._showing = showing
        self._commands = commands
        self._streams = streams

    @operation("A task", answer=Task)
    def on_get(self, req: falcon.Request, resp: falcon.Response, task_id: str) -> None:
        task = self._reading.get_task(task_id)
        answer(req, resp, self._showing.of_job(task.job_id, task))

    @operation("Let the job go on without a task", answer=Done, body=Body(kind=GivenSkip))
    def on_put_skip(self, req: falcon.Request, resp: falcon.Response, task_id: str) -> None:
        reason = read_document(req, GivenSkip, limit=SMALL_BODY).reason.replace("\0", "").strip()
        if not reason:
            raise refusal(400, 'a reason is missing (right would be e.g. {"reason": "the mirror is gone"})')
        self._commands.skip(task_id, reason=reason)
        answer(req, resp, {"status": "OK"})

    @operation("A page of the task's log, newest part first", answer=Page[TaskLogPart], parameters=LOG_PAGE)
    def on_get_log(self, req: falcon.Request, resp: falcon.Response, task_id: str) -> None:
        task = self._reading.get_task_summary(task_id)
        page = self._reading.task_log(
            task_id, text=req.get_param("q") or "", page=page_number(req), size=log_page_size(req)
        )
        answer(req, resp, self._showing.of_job(task.job_id, page))

    @operation("The task's log, live", media=EVENT_STREAM, parameters=(LAST_EVENT,))
    def on_get_log_stream(self, req: falcon.Request, resp: falcon.Response, task_id: str) -> None:
        task = self._reading.get_task_summary(task_id)
        feed = LogFeed(self._reading, self._showing, job_id=task.job_id, task_id=task_id, after=resume_after(req))
        self._streams.answer(req, resp, feed)
