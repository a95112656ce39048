"""`/tasks`: one task, and its log."""

from __future__ import annotations

import falcon

from tork.log import TaskLogPart
from tork.page import Page
from tork.task import Task
from torkd.api.media import answer
from torkd.api.operations import EVENT_STREAM, LAST_EVENT, LOG_PAGE, operation
from torkd.api.paging import log_page_size, page_number
from torkd.api.showing import Showing
from torkd.api.streams import LogFeed, StreamHub, resume_after
from torkd.datastore.protocol import Reading


class TaskResource:
    """A task of a job."""

    def __init__(self, reading: Reading, showing: Showing, streams: StreamHub) -> None:
        self._reading = reading
        self._showing = showing
        self._streams = streams

    @operation("A task", answer=Task)
    def on_get(self, req: falcon.Request, resp: falcon.Response, task_id: str) -> None:
        task = self._reading.get_task(task_id)
        answer(req, resp, self._showing.of_job(task.job_id, task))

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
