"""`GET /events`: the changes of all jobs that the caller may see, as they happen."""

from __future__ import annotations

import falcon

from torkd.api.auth import caller_of
from torkd.api.operations import EVENT_STREAM, LAST_EVENT, operation
from torkd.api.showing import Showing
from torkd.api.streams import EverythingFeed, StreamHub, resume_after
from torkd.datastore.protocol import Reading


class EventsResource:
    """A stream of `job` events."""

    def __init__(self, reading: Reading, showing: Showing, streams: StreamHub) -> None:
        self._reading = reading
        self._showing = showing
        self._streams = streams

    @operation("The changes of all jobs, live", media=EVENT_STREAM, parameters=(LAST_EVENT,))
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        viewer = caller_of(req).viewer
        feed = EverythingFeed(self._reading, self._showing, after=resume_after(req), viewer=viewer)
        self._streams.answer(req, resp, feed)
