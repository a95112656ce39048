"""Storing what tasks print. A part that fails never fails a job, and a database that is away loses none."""

from __future__ import annotations

import logging
import threading

from tork.errors import TorkError
from torkd.broker.messages import LiveChanges, LogPrinted, LogTouched
from torkd.broker.protocol import Broker, EventConsumer
from torkd.datastore.protocol import Datastore

log = logging.getLogger(__name__)

PARTS_AT_ONCE = 200
RETRY_SECONDS = 0.5


class LogLoop:
    """One thread that stores log parts in batches."""

    def __init__(self, datastore: Datastore, broker: Broker, consumer: EventConsumer) -> None:
        self._datastore = datastore
        self._broker = broker
        self._consumer = consumer
        self._stopping = threading.Event()

    def stop(self) -> None:
        """End `run` after the batch in hand."""
        self._stopping.set()
        self._consumer.wake()

    def run(self) -> None:
        """Store until stopped."""
        while not self._stopping.is_set():
            self.round(0.5)

    def round(self, timeout: float) -> bool:
        """Store what is there; whether there was any."""
        deliveries = self._consumer.receive(PARTS_AT_ONCE, timeout)
        parts = [delivery.message for delivery in deliveries if isinstance(delivery.message, LogPrinted)]
        if not parts:
            self._consumer.ack(deliveries)
            return False
        try:
            self._datastore.add_log_parts(parts)
            self._consumer.ack(deliveries)
            touched = dict.fromkeys((part.job_id, part.task_id) for part in parts)
            self._broker.publish_live(LiveChanges(logs=[LogTouched(*ids) for ids in touched]))
        except TorkError as error:
            log.warning("log parts can't be stored now: %s", error)
            self._consumer.put_back(deliveries, RETRY_SECONDS)
            self._stopping.wait(RETRY_SECONDS)
        except Exception:
            log.exception("the log loop goes on after an unexpected error")
            self._consumer.put_back(deliveries, RETRY_SECONDS)
            self._stopping.wait(RETRY_SECONDS)
        return True
