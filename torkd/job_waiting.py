"""Waiting for a job within the process of its engine: by the broker's live changes, and a look from time to time."""

from __future__ import annotations

import threading
import time
from collections import defaultdict

from tork.errors import TimedOut, Unavailable
from tork.job import Job
from torkd.broker.messages import LiveChanges
from torkd.broker.protocol import Broker
from torkd.datastore.protocol import Reading

LOOK_SECONDS = 5.0
"""Live changes may be lost."""


class JobWaiting:
    """Any number of threads may wait."""

    def __init__(self, reading: Reading, broker: Broker) -> None:
        self._reading = reading
        self._lock = threading.Lock()
        self._bells: defaultdict[str, set[threading.Event]] = defaultdict(set)
        self._closed = False
        self._subscription = broker.subscribe(self._heard)

    def wait(self, job_id: str, timeout: float | None) -> Job:
        """The job when it has ended. Raises `TimedOut`, `NotFound`, `Unavailable`."""
        deadline = None if timeout is None else time.monotonic() + timeout
        bell = threading.Event()
        with self._lock:
            self._bells[job_id].add(bell)
        try:
            while True:
                bell.clear()
                if self._closed:
                    raise Unavailable("the engine was closed")
                if not self._reading.get_summary(job_id).state.is_active:
                    return self._reading.get_job(job_id)
                left = LOOK_SECONDS if deadline is None else min(deadline - time.monotonic(), LOOK_SECONDS)
                if left <= 0:
                    raise TimedOut(f"job {job_id} has not ended within {timeout:g} seconds")
                bell.wait(left)
        finally:
            with self._lock:
                self._bells[job_id].discard(bell)
                if not self._bells[job_id]:
                    del self._bells[job_id]

    def close(self) -> None:
        """Let nobody wait any more."""
        self._closed = True
        self._subscription.close()
        self._heard(None)

    def _heard(self, changes: LiveChanges | None) -> None:
        with self._lock:
            if changes is None:
                bells = [bell for waiting in self._bells.values() for bell in waiting]
            else:
                bells = [bell for job in changes.jobs for bell in self._bells.get(job.job_id, ())]
        for bell in bells:
            bell.set()
