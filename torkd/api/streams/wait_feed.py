"""The answer to a submission with `wait`: the whole job when it has ended, in one piece."""

from __future__ import annotations

import time
from collections.abc import Callable

from torkd.api.media import JSON, encode
from torkd.api.showing import Showing
from torkd.api.streams.feed import Told
from torkd.datastore.protocol import Reading


class WaitFeed:
    """Ends with the job, however it ends, or when the time is up."""

    content_type = JSON
    heartbeat = b""

    def __init__(
        self,
        reading: Reading,
        showing: Showing,
        *,
        job_id: str,
        seconds: float,
        pretty: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reading = reading
        self._showing = showing
        self._job_id = job_id
        self._pretty = pretty
        self._clock = clock
        self._deadline = clock() + seconds

    @property
    def job_id(self) -> str:
        return self._job_id

    def read(self) -> Told:
        if not self._reading.get_summary(self._job_id).state.is_active:
            job = self._reading.get_job(self._job_id)
            return self._told(200, self._showing.of_job(self._job_id, job))
        left = self._deadline - self._clock()
        if left <= 0:
            return self._told(408, {"message": "timeout waiting for job to complete"})
        return Told(again_in=left)

    def job_touched(self, job_id: str, version: int) -> bool:
        return True

    def log_touched(self, task_id: str) -> bool:
        return False

    def missed(self) -> None:
        """The next reading looks at the state anyway."""

    def farewell(self) -> Told:
        return self._told(500, {"message": "server shutting down"})

    def _told(self, status: int, document: object) -> Told:
        return Told(data=encode(document, pretty=self._pretty), ended=True, status=status)
