"""One slot: a thread that takes one task after the other from its queue."""

from __future__ import annotations

import logging
import threading

from tork.errors import BrokerUnavailable
from torkd.broker.protocol import Broker, TaskConsumer
from torkd.worker.execution import Executor
from torkd.worker.running import Run

_RECEIVE_SECONDS = 60.0
"""Only how often an idle slot looks around; messages and `close` wake it."""
_FIRST_RETRY_SECONDS = 0.1
_MAX_RETRY_SECONDS = 5.0

_LOG = logging.getLogger(__name__)


class Slot:
    """Takes tasks until it is told to leave; one that is under way is finished first."""

    def __init__(self, queue: str, broker: Broker, executor: Executor, *, first: Run | None = None) -> None:
        """`first` is a run of a predecessor, to be taken up before any task of the queue."""
        self.queue = queue
        self._first = first
        self._broker = broker
        self._executor = executor
        self._lock = threading.Lock()
        """Guards the next three: `leave` must not close the consumer of a task under way, for that would give it back."""
        self._consumer: TaskConsumer | None = None
        self._busy = False
        self._leaving = threading.Event()
        self.thread = threading.Thread(target=self._serve, name=f"worker-slot-{queue}", daemon=True)

    def leave(self) -> None:
        """Take no more tasks."""
        with self._lock:
            self._leaving.set()
            if self._consumer is not None and not self._busy:
                self._consumer.close()

    def _serve(self) -> None:
        self._take_up_first()
        wait = _FIRST_RETRY_SECONDS
        while not self._leaving.is_set():
            try:
                self._take_one()
            except BrokerUnavailable as error:
                _LOG.warning("queue %s can't be read now: %s", self.queue, error)
            except Exception:  # noqa: BLE001 -- a slot that ends would never come back
                _LOG.exception("a slot of queue %s failed", self.queue)
            else:
                wait = _FIRST_RETRY_SECONDS
                continue
            self._drop_consumer()
            self._leaving.wait(wait)
            wait = min(wait * 2, _MAX_RETRY_SECONDS)
        self._drop_consumer()

    def _take_up_first(self) -> None:
        run, self._first = self._first, None
        if run is None:
            return
        try:
            self._executor.resume(run)
        except Exception:  # noqa: BLE001 -- a slot that ends would never come back
            _LOG.exception("a run could not be taken up", extra={"run_id": run.run_id})

    def _take_one(self) -> None:
        consumer = self._consumer or self._open_consumer()
        delivery = consumer.receive(_RECEIVE_SECONDS)
        if delivery is None:
            return
        with self._lock:
            if self._leaving.is_set():
                delivery.requeue()
                return
            self._busy = True
        try:
            self._executor.execute(delivery)
        finally:
            with self._lock:
                self._busy = False

    def _open_consumer(self) -> TaskConsumer:
        consumer = self._broker.consume_tasks(self.queue)
        with self._lock:
            self._consumer = consumer
            if self._leaving.is_set():
                consumer.close()
        return consumer

    def _drop_consumer(self) -> None:
        with self._lock:
            consumer, self._consumer = self._consumer, None
        if consumer is None:
            return
        try:
            consumer.close()
        except BrokerUnavailable:
            _LOG.debug("the consumer of queue %s went with the broker", self.queue)
