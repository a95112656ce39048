"""Accepting jobs: those that are submitted at the same time share a transaction, whose commit costs more than a job's rows."""

from __future__ import annotations

import copy
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from tork.errors import Unavailable
from torkd.coordinator.handle import Handled, fold
from torkd.datastore.protocol import Accepted, Datastore, IdempotencyKey
from torkd.engine.events import JobSubmitted

MOST_TOGETHER = 100


@dataclass(slots=True)
class _Waiting:
    """One submission, and what became of it."""

    event: JobSubmitted
    is_done: bool = False
    error: BaseException | None = None
    accepted_at: datetime | None = None

    def end(self, accepted_at: datetime | None, error: BaseException | None) -> None:
        self.accepted_at, self.error, self.is_done = accepted_at, error, True


class Submissions:
    """Any thread may submit: one of them at a time does it for all who wait. `publish` sends what came of it."""

    def __init__(
        self,
        datastore: Datastore,
        publish: Callable[[Handled], None],
        *,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
    ) -> None:
        self._datastore, self._publish = datastore, publish
        self._clock, self._new_id = clock, new_id
        self._waiting: deque[_Waiting] = deque()
        self._turn = threading.Lock()

    def submit(self, event: JobSubmitted) -> Accepted:
        """Return once the job is stored. Raises why it can't be: that is no other job's matter."""
        own = _Waiting(event)
        self._waiting.append(own)
        with self._turn:
            while not own.is_done:
                group = [self._waiting.popleft() for _ in range(min(len(self._waiting), MOST_TOGETHER))]
                self._take(group)
        if own.error is not None:
            raise own.error
        return Accepted(job_id=event.job_id, repeated=False, created_at=own.accepted_at)

    def submit_once(self, event: JobSubmitted, key: IdempotencyKey) -> Accepted:
        """The same, unless the key was used before: then the answer is the job that it was used for."""
        now = self._clock()
        with self._datastore.begin() as batch:
            accepted = batch.accept(key, event.job_id)
            if accepted.repeated:
                return accepted
            handled = fold(batch, batch.load([event]), [event], now=now, new_id=self._new_id)
            if handled.failed:
                raise handled.failed[0][1]
        self._publish(handled)
        return Accepted(job_id=event.job_id, repeated=False, created_at=now)

    def _take(self, group: Sequence[_Waiting]) -> None:
        now = self._clock()
        try:
            handled = self._store([waiting.event for waiting in group], now)
        except BaseException as error:
            if len(group) > 1 and isinstance(error, Exception) and not isinstance(error, Unavailable | OSError):
                for waiting in group:  # what is wrong with one of them is no fault of the others
                    self._take([waiting])
                return
            for waiting in group:
                waiting.end(None, copy.copy(error))
            if not isinstance(error, Exception):
                raise
            return
        failures = {id(event): failure for event, failure in handled.failed}
        for waiting in group:
            waiting.end(now, failures.get(id(waiting.event)))
        self._publish(handled)

    def _store(self, events: Sequence[JobSubmitted], now: datetime) -> Handled:
        with self._datastore.begin() as batch:
            return fold(batch, batch.load(events), events, now=now, new_id=self._new_id)
