"""Accepting jobs: those that are submitted at the same time share a transaction, whose commit costs more than a job's rows.

Whoever comes while nobody stores leads: it stores for all who wait, and passes the lead on before it publishes. A submission with
an idempotency key has a transaction of its own, since it may have to wait for somebody else who uses the same key.
"""

from __future__ import annotations

import copy
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from tork.errors import TorkError, Unavailable
from torkd.coordinator.handle import Handled, fold
from torkd.datastore.account_protocol import Act
from torkd.datastore.protocol import Accepted, Batch, Datastore, IdempotencyKey
from torkd.engine.events import JobSubmitted

MOST_TOGETHER = 100

_LOG = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Waiting:
    """One submission, and what became of it."""

    event: JobSubmitted
    act: Act | None = None
    """Who did this, if that is to be written down."""
    woken: threading.Event = field(default_factory=threading.Event)
    """That it is done, or leads now."""
    accepted: Accepted | None = None
    error: BaseException | None = None

    @property
    def is_done(self) -> bool:
        return self.accepted is not None or self.error is not None


class Submissions:
    """Any thread may submit. `publish` sends what came of it; what it fails to send goes out later."""

    def __init__(
        self,
        datastore: Datastore,
        publish: Callable[[Handled], None],
        *,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
    ) -> None:
        self._datastore, self._send = datastore, publish
        self._clock, self._new_id = clock, new_id
        self._lock = threading.Lock()
        self._waiting: deque[_Waiting] = deque()
        self._is_led = False

    def submit(self, event: JobSubmitted, key: IdempotencyKey | None, act: Act | None = None) -> Accepted:
        """Return once the job is stored; a key that was used before is answered with the job that it was used for.

        Raises why it can't be stored: that is no other job's matter.
        """
        act = replace(act, target=event.job_id) if act else None
        if key is not None:
            return self._submit_once(_Waiting(event, act), key)
        own = _Waiting(event, act)
        with self._lock:
            self._waiting.append(own)
            leads, self._is_led = not self._is_led, True
        if not leads:
            own.woken.wait()
        if not own.is_done:
            self._lead()
        if own.error is not None:
            raise own.error
        assert own.accepted is not None
        return own.accepted

    def _submit_once(self, waiting: _Waiting, key: IdempotencyKey) -> Accepted:
        now, job_id = self._clock(), waiting.event.job_id
        with self._datastore.begin() as batch:
            accepted = batch.accept(key, job_id)
            if accepted.repeated:
                return accepted
            handled = self._fold(batch, [waiting], now)
        self._publish(handled)
        return Accepted(job_id=job_id, repeated=False, created_at=now)

    def _lead(self) -> None:
        with self._lock:
            group = [self._waiting.popleft() for _ in range(min(len(self._waiting), MOST_TOGETHER))]
        stored: list[Handled] = []
        try:
            self._store(group, stored)
        finally:
            with self._lock:
                self._is_led = bool(self._waiting)
                following = self._waiting[0] if self._waiting else None
            if following is not None:
                following.woken.set()
            for waiting in group:
                if not waiting.is_done:
                    waiting.error = TorkError("the submission was interrupted: whether the job is stored is not known")
                waiting.woken.set()
        for handled in stored:
            self._publish(handled)

    def _store(self, group: Sequence[_Waiting], stored: list[Handled]) -> None:
        """Give each its answer. What the database refuses is halved until the one is found that is to blame."""
        parts = [list(group)]
        while parts:
            part, now = parts.pop(), self._clock()
            try:
                with self._datastore.begin() as batch:
                    handled = self._fold(batch, part, now)
            except (Unavailable, OSError) as error:
                for waiting in (one for rest in (part, *parts) for one in rest):
                    waiting.error = copy.copy(error)
                return
            except Exception as error:  # noqa: BLE001 -- whatever it is, it is for the one whose matter it is
                if len(part) == 1:
                    part[0].error = error
                else:
                    parts += [part[len(part) // 2 :], part[: len(part) // 2]]
            else:
                stored.append(handled)
                for waiting in part:
                    waiting.accepted = Accepted(job_id=waiting.event.job_id, repeated=False, created_at=now)

    def _fold(self, batch: Batch, part: Sequence[_Waiting], now: datetime) -> Handled:
        events = [waiting.event for waiting in part]
        handled = fold(batch, batch.load(events), events, now=now, new_id=self._new_id)
        if handled.failed:  # nothing of it is to be stored, not even a key
            raise handled.failed[0][1]
        if acts := [waiting.act for waiting in part if waiting.act is not None]:
            batch.audit(acts)
        return handled

    def _publish(self, handled: Handled) -> None:
        try:
            self._send(handled)
        except Exception:  # noqa: BLE001 -- the jobs are stored, and nobody must send them again
            _LOG.exception("what an accepted job needs could not be sent, and goes out later")
