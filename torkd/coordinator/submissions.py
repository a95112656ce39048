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
    key: IdempotencyKey | None
    accepted: Accepted | None = None
    error: BaseException | None = None

    @property
    def is_done(self) -> bool:
        return self.accepted is not None or self.error is not None


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

    def submit(self, event: JobSubmitted, key: IdempotencyKey | None) -> Accepted:
        """Return once the job is stored; a key that was used before is answered with the job that it was used for.

        Raises why it can't be stored: that is no other job's matter.
        """
        own = _Waiting(event, key)
        self._waiting.append(own)
        with self._turn:
            while not own.is_done:
                group = [self._waiting.popleft() for _ in range(min(len(self._waiting), MOST_TOGETHER))]
                self._take(group)
        if own.error is not None:
            raise own.error
        assert own.accepted is not None
        return own.accepted

    def _take(self, group: Sequence[_Waiting]) -> None:
        now = self._clock()
        try:
            handled, known = self._store(group, now)
        except BaseException as error:
            if len(group) > 1 and isinstance(error, Exception) and not isinstance(error, Unavailable | OSError):
                for waiting in group:  # what is wrong with one of them is no fault of the others
                    self._take([waiting])
                return
            for waiting in group:
                waiting.error = copy.copy(error) if len(group) > 1 else error
            if not isinstance(error, Exception):
                raise
            return
        for waiting in group:
            waiting.accepted = known.get(id(waiting)) or Accepted(
                job_id=waiting.event.job_id, repeated=False, created_at=now
            )
        self._publish(handled)

    def _store(self, group: Sequence[_Waiting], now: datetime) -> tuple[Handled, dict[int, Accepted]]:
        """Also answers which of them were known, by their keys."""
        known: dict[int, Accepted] = {}
        with self._datastore.begin() as batch:
            for waiting in group:
                if waiting.key is not None:
                    accepted = batch.accept(waiting.key, waiting.event.job_id)
                    if accepted.repeated:
                        known[id(waiting)] = accepted
            events = [waiting.event for waiting in group if id(waiting) not in known]
            handled = fold(batch, batch.load(events), events, now=now, new_id=self._new_id)
            if handled.failed:  # nothing is stored, not even a key
                raise handled.failed[0][1]
        return handled, known
