"""Who wants to know of which job: one subscription to the broker for all open feeds of the process."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from tork.errors import Unavailable
from torkd.api.streams.feed import Feed
from torkd.broker.messages import LiveChanges
from torkd.broker.protocol import Broker, Subscription

log = logging.getLogger(__name__)

Wake = Callable[[], None]
_EVERY_JOB = ""
_NO_MORE = 2**63
# newer than any version: makes a feed look for its job, and find that it is gone


class Doorbell:
    """Wakes feeds. A feed hears everything that happens after `add` returned."""

    def __init__(self, broker: Broker, versions_of: Callable[[Collection[str]], dict[str, int]]) -> None:
        self._broker = broker
        self._versions_of = versions_of
        self._lock = threading.RLock()  # a broker may call its listener while it is being subscribed to
        self._listening: dict[str, dict[Feed, Wake]] = defaultdict(dict)
        self._subscription: Subscription | None = None
        self.closed = False
        """Whether nobody is woken any more: whoever waits shall stop."""

    def subscribe(self) -> None:
        """Listen to the broker, if that is not done yet. Raises `BrokerUnavailable`."""
        with self._lock:
            if self._subscription is None:
                self._subscription = self._broker.subscribe(self.ring)

    def add(self, feed: Feed, wake: Wake) -> None:
        """Call `wake` for every change that is news to the feed."""
        self.subscribe()
        with self._lock:
            self._listening[feed.job_id][feed] = wake

    def remove(self, feed: Feed) -> None:
        """The feed wants to hear no more."""
        with self._lock:
            listening = self._listening[feed.job_id]
            listening.pop(feed, None)
            if not listening:
                del self._listening[feed.job_id]

    @contextmanager
    def listen(self, feed: Feed, wake: Wake) -> Iterator[None]:
        """`add` and, at the end of the block, `remove`."""
        self.add(feed, wake)
        try:
            yield
        finally:
            self.remove(feed)

    def ring(self, changes: LiveChanges | None) -> None:
        """The broker's call: what changed, or None when changes may have been missed."""
        if changes is None:
            for feed, wake in self._all():
                feed.missed()
                wake()
            return
        for job in changes.jobs:
            self._job_touched(job.job_id, job.version, self._of(job.job_id) + self._of(_EVERY_JOB))
        for printed in changes.logs:
            for feed, wake in self._of(printed.job_id):
                if feed.log_touched(printed.task_id):
                    wake()

    def check_versions(self) -> None:
        """Catch up with doorbells that were lost on the way, in one statement for all feeds."""
        with self._lock:
            job_ids = [job_id for job_id in self._listening if job_id != _EVERY_JOB]
        if not job_ids:
            return
        try:
            versions = self._versions_of(job_ids)
        except Unavailable as error:
            log.warning("live views could not be checked: %s", error)
            return
        for job_id in job_ids:
            version = versions.get(job_id, _NO_MORE)
            self._job_touched(job_id, version, self._of(job_id))

    def close(self) -> None:
        """Hear no more. Everybody is woken a last time."""
        with self._lock:
            self.closed = True
            subscription, self._subscription = self._subscription, None
        for _, wake in self._all():
            wake()
        if subscription is not None:
            subscription.close()

    def _job_touched(self, job_id: str, version: int, listening: list[tuple[Feed, Wake]]) -> None:
        for feed, wake in listening:
            if feed.job_touched(job_id, version):
                wake()

    def _of(self, job_id: str) -> list[tuple[Feed, Wake]]:
        with self._lock:
            return list(self._listening[job_id].items()) if job_id in self._listening else []

    def _all(self) -> list[tuple[Feed, Wake]]:
        with self._lock:
            return [pair for listening in self._listening.values() for pair in listening.items()]
