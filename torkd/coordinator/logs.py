"""Storing what tasks print. A part that fails never fails a job, and a database that is away loses none.

Parts are stored in the order in which they came: what can't be stored now stays in hand and is tried again before more is
read. RabbitMQ gives them to one coordinator at a time; one whose database stays away makes room for another, which begins with
what was in hand.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence

from tork.errors import TorkError, Unavailable
from torkd.broker.messages import LiveChanges, LogPrinted, LogTouched
from torkd.broker.protocol import Broker, EventConsumer, EventDelivery
from torkd.broker.queues import LOGS
from torkd.coordinator.observing import Observer
from torkd.datastore.protocol import Datastore

log = logging.getLogger(__name__)

PARTS_AT_ONCE = 32
PARTS_IN_HAND = 2 * PARTS_AT_ONCE
"""They may be large, so no more than the next batch comes ahead of being asked for."""
RETRY_SECONDS = 0.5
MAX_FAILURES = 4
"""So many tries in a row, and another coordinator may have better luck."""


class LogLoop:
    """One thread that stores log parts in batches."""

    def __init__(
        self, datastore: Datastore, broker: Broker, consumer: EventConsumer, observer: Observer | None = None
    ) -> None:
        self._datastore = datastore
        self._broker = broker
        self._consumer: EventConsumer | None = consumer
        """None while others have their turn."""
        self._observer = observer
        self._failures = 0
        self._in_hand: Sequence[EventDelivery] = []
        self._stopping = threading.Event()

    def stop(self) -> None:
        """End `run` after the batch in hand."""
        self._stopping.set()
        if (consumer := self._consumer) is not None:
            consumer.wake()

    def run(self) -> None:
        """Store until stopped."""
        while not self._stopping.is_set():
            try:
                self._round(0.5)
            except TorkError as error:
                log.warning("%s; what tasks print is stored later", error)
                self._stopping.wait(RETRY_SECONDS)
            except Exception:
                log.exception("the log loop goes on after an unexpected error")
                self._stopping.wait(RETRY_SECONDS)

    def drain(self, seconds: float) -> None:
        """Store what is there, once the loop has ended."""
        deadline = time.monotonic() + seconds
        try:
            while time.monotonic() < deadline and self._round(0.0):
                pass
        except TorkError as error:
            log.warning("%s; the last lines of some logs are lost", error)

    def close(self) -> None:
        """Read no more; what is in hand goes back."""
        if (consumer := self._consumer) is not None:
            consumer.close()

    def _round(self, timeout: float) -> bool:
        """Store what is there; whether there was any."""
        consumer = self._reader()
        self._in_hand = self._in_hand or consumer.receive(PARTS_AT_ONCE, timeout)
        parts = [delivery.message for delivery in self._in_hand if isinstance(delivery.message, LogPrinted)]
        if parts:
            self._store(parts)
        done, self._in_hand = self._in_hand, []
        consumer.ack(done)
        self._tell(parts)
        return bool(done)

    def _reader(self) -> EventConsumer:
        if self._consumer is None:
            self._datastore.check_health()
            self._consumer = self._broker.consume_events([LOGS], most_in_hand=PARTS_IN_HAND)
        return self._consumer

    def _step_aside(self) -> None:
        consumer, self._consumer = self._consumer, None
        self._in_hand, self._failures = [], 0
        if consumer is not None:
            consumer.close()

    def _store(self, parts: list[LogPrinted]) -> None:
        try:
            self._datastore.add_log_parts(parts)
            self._failures = 0
            if self._observer is not None:
                self._observer.log_parts_stored(len(parts), sum(len(part.contents) for part in parts))
        except (Unavailable, OSError, MemoryError):
            self._failures += 1
            if self._failures >= MAX_FAILURES:
                self._step_aside()
            raise
        except Exception:
            # Trying again can't help, and what comes after must not wait for it.
            log.exception("%s log parts can't be stored", len(parts))

    def _tell(self, parts: list[LogPrinted]) -> None:
        if not parts:
            return
        touched = dict.fromkeys((part.job_id, part.task_id) for part in parts)
        try:
            self._broker.publish_live(LiveChanges(logs=[LogTouched(*ids) for ids in touched]))
        except Unavailable as error:
            log.warning("live views are not told of new log lines: %s", error)
