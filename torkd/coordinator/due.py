"""What time brings: retries, lost leases, composites with room, leftovers, the broker's epoch, queues that lost what they held, retention.

Each is a row in the database that any coordinator may find; finding one twice is harmless.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from datetime import datetime

from tork.errors import TorkError
from torkd.broker.protocol import Broker
from torkd.coordinator.options import CoordinatorOptions
from torkd.coordinator.outbox import QueueWatch, check_epoch, send_leftovers
from torkd.datastore.protocol import Datastore
from torkd.engine.events import EngineEvent

log = logging.getLogger(__name__)

ROUND_SECONDS = 1.0
AGAIN_SECONDS = 0.02
"""Between rounds that leave something to do."""
LIMIT = 500
LEFTOVERS_EVERY = 2.0
EPOCH_EVERY = 10.0
QUEUES_EVERY = 10.0
RETENTION_EVERY = 60.0
RETENTION_CHUNK = 500


class DueLoop:
    """One thread that looks at the clock."""

    def __init__(
        self,
        datastore: Datastore,
        broker: Broker,
        options: CoordinatorOptions,
        *,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
        add_events: Callable[[Iterable[EngineEvent]], None],
    ) -> None:
        self._datastore = datastore
        self._broker = broker
        self._options = options
        self._clock = clock
        self._new_id = new_id
        self._add_events = add_events
        self._wake = threading.Condition()
        self._next_due: datetime | None = None
        self._stopping = False
        self._last: dict[str, float] = {}
        self._queues = QueueWatch(datastore, broker)

    def stop(self) -> None:
        """End `run`."""
        with self._wake:
            self._stopping = True
            self._wake.notify()

    def retry_due_at(self, moment: datetime) -> None:
        """Look again at that time at the latest."""
        with self._wake:
            if self._next_due is None or moment < self._next_due:
                self._next_due = moment
                self._wake.notify()

    def tidy_soon(self) -> None:
        """Remove now what is to be removed: something was just marked so."""
        with self._wake:
            self._last.pop("retention", None)
            self._wake.notify()

    def run(self) -> None:
        """Look until stopped."""
        while not self._stopping:
            more = False
            try:
                more = self.round()
            except TorkError as error:
                log.warning("can't look what is due: %s", error)
            except Exception:
                log.exception("the clock loop goes on after an unexpected error")
            self._sleep(AGAIN_SECONDS if more else ROUND_SECONDS)

    def round(self) -> bool:
        """Look once at everything whose turn it is; whether there is more to do at once."""
        due = self._datastore.events_due(now=self._clock(), lease_seconds=self._options.lease, limit=LIMIT)
        self._add_events(due)
        more = len(due) >= LIMIT
        if self._is_time("retention", RETENTION_EVERY) and self._delete_old():
            more = self._at_once("retention")
        if self._is_time("epoch", EPOCH_EVERY) and check_epoch(self._datastore, self._broker, self._new_id):
            self._at_once("leftovers")
        if self._is_time("queues", QUEUES_EVERY) and self._queues.look(self._clock()):
            self._at_once("leftovers")
        if self._is_time("leftovers", LEFTOVERS_EVERY) and send_leftovers(self._datastore, self._broker):
            more = self._at_once("leftovers")
        return more

    def _delete_old(self) -> bool:
        """Remove a part of it; whether there may be more."""
        options = self._options
        gone = self._datastore.delete_old(
            jobs_seconds=options.retention_jobs,
            logs_seconds=options.retention_logs,
            audit_seconds=options.retention_audit,
            limit=RETENTION_CHUNK,
        )
        return gone > 0

    def _at_once(self, name: str) -> bool:
        self._last.pop(name, None)
        return True

    def _is_time(self, name: str, seconds: float) -> bool:
        now = time.monotonic()
        if now - self._last.get(name, float("-inf")) < seconds:
            return False
        self._last[name] = now
        return True

    def _sleep(self, pause: float) -> None:
        with self._wake:
            if self._stopping:
                return
            if self._next_due is not None:
                pause = min(pause, max((self._next_due - self._clock()).total_seconds(), 0.0) + 0.002)
            self._wake.wait(pause)
            if self._next_due is not None and self._next_due <= self._clock():
                self._next_due = None
