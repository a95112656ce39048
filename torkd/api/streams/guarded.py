"""A feed for as long as its reader may read it: streams outlive what was true when they were opened."""

from __future__ import annotations

import time
from collections.abc import Callable

from torkd.api.streams.feed import Feed, Told

ASKED_EVERY_SECONDS = 60.0


class GuardedFeed:
    """Ends when the account behind it is disabled, is gone, or has other roles than before. Asks when there is something to tell only."""

    def __init__(self, feed: Feed, is_allowed: Callable[[], bool], clock: Callable[[], float] = time.monotonic) -> None:
        self._feed = feed
        self._is_allowed = is_allowed
        self._clock = clock
        self._asked_at = clock()

    @property
    def job_id(self) -> str:
        return self._feed.job_id

    @property
    def content_type(self) -> str:
        return self._feed.content_type

    @property
    def heartbeat(self) -> bytes:
        return self._feed.heartbeat

    def read(self) -> Told:
        now = self._clock()
        if now - self._asked_at >= ASKED_EVERY_SECONDS:
            if not self._is_allowed():
                return Told(ended=True)
            self._asked_at = now
        return self._feed.read()

    def job_touched(self, job_id: str, version: int) -> bool:
        return self._feed.job_touched(job_id, version)

    def log_touched(self, task_id: str) -> bool:
        return self._feed.log_touched(task_id)

    def missed(self) -> None:
        self._feed.missed()

    def farewell(self) -> Told:
        return self._feed.farewell()
