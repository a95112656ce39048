"""The batch loop: take whatever events are there, handle them together, publish, acknowledge.

No delay is added to fill a batch. Events of a root that somebody else works on stay in hand; after a few rounds such an
event waits for its lock alone, so that a busy job neither stalls the others nor starves itself.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from tork.errors import BadData, DatastoreUnavailable, TorkError
from torkd.broker.messages import RunClaimed, RunEnded
from torkd.broker.protocol import EventConsumer, EventDelivery
from torkd.coordinator.apply import Publisher
from torkd.coordinator.handle import Handled, handle
from torkd.datastore.protocol import Datastore
from torkd.engine.events import ChildrenDue, EngineEvent, EventFailed, RetryDue, RunLost
from torkd.engine.view import View

log = logging.getLogger(__name__)

MAX_SKIPS = 5
IDLE_SECONDS = 0.5
"""How long to wait for an event before tidying up."""
FIRST_PAUSE = 0.05
LONGEST_PAUSE = 2.0
"""Between attempts while the database is away."""


@dataclass(slots=True)
class InHand:
    """An event that is being handled. Those of the engine's own making have no delivery to acknowledge."""

    event: EngineEvent
    delivery: EventDelivery | None = None
    skips: int = 0


class BatchLoop:
    """One thread that handles events."""

    def __init__(
        self,
        datastore: Datastore,
        publisher: Publisher,
        consumer: EventConsumer,
        *,
        batch_size: int,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
        on_retry_due: Callable[[datetime], None],
    ) -> None:
        self._datastore = datastore
        self._publisher = publisher
        self._consumer = consumer
        self._batch_size = batch_size
        self._clock = clock
        self._new_id = new_id
        self._on_retry_due = on_retry_due
        self._own: deque[EngineEvent] = deque()
        self._skipped: list[InHand] = []
        self._stopping = threading.Event()
        self._failures = 0

    def add(self, events: Iterable[EngineEvent]) -> None:
        """Events of the engine's own making: retries that are due and the like. May be lost with the process."""
        self._own.extend(events)
        self._consumer.wake()

    def stop(self) -> None:
        """End `run` after the batch in hand."""
        self._stopping.set()
        self._consumer.wake()

    def run(self) -> None:
        """Handle events until stopped."""
        while not self._stopping.is_set():
            try:
                self._turn()
            except TorkError as error:
                self._pause(error)
            except Exception:
                log.exception("the batch loop goes on after an unexpected error")
                self._pause(None)
        self._give_back()

    def drain(self) -> None:
        """Handle what is there, once the loop has ended: for an orderly end."""
        for _ in range(1000):
            if not self._turn(timeout=0.0):
                return

    def _turn(self, timeout: float = IDLE_SECONDS) -> bool:
        in_hand = self._take(timeout)
        if not in_hand:
            self._tidy()
            return False
        waiting = [item for item in in_hand if item.skips >= MAX_SKIPS]
        if waiting:
            in_hand = [item for item in in_hand if item is not waiting[0]]
            self._handle(waiting[:1], wait=True)
        if in_hand:
            self._handle(in_hand)
        return True

    def _take(self, timeout: float) -> list[InHand]:
        taken = self._skipped
        self._skipped = []
        while self._own and len(taken) < self._batch_size:
            taken.append(InHand(self._own.popleft()))
        if taken:
            timeout = 0.005 if all(item.skips for item in taken) else 0.0
        deliveries = self._consumer.receive(self._batch_size, timeout)
        taken.extend(InHand(cast(EngineEvent, delivery.message), delivery) for delivery in deliveries)
        if not taken:
            taken.extend(InHand(self._own.popleft()) for _ in range(len(self._own)))
        return taken

    def _handle(self, in_hand: list[InHand], *, wait: bool = False) -> None:
        published = self._publisher.take_published()
        try:
            handled = handle(
                self._datastore,
                [item.event for item in in_hand],
                now=self._clock(),
                new_id=self._new_id,
                forget=published,
                wait=wait,
            )
        except BadData as error:
            self._publisher.put_published(published)
            self._one_by_one(in_hand, error)
            return
        except BaseException:
            self._publisher.put_published(published)
            self._keep(in_hand)
            raise
        self._failures = 0
        self._publisher.publish(handled)
        self._after(handled, in_hand)

    def _after(self, handled: Handled, in_hand: list[InHand]) -> None:
        skipped = {id(event) for event in handled.skipped}
        failed = {id(event): failure for event, failure in handled.failed}
        done: list[EventDelivery] = []
        for item in in_hand:
            if id(item.event) in skipped:
                item.skips += 1
                self._skipped.append(item)
            elif id(item.event) in failed:
                self._bury(item, failed[id(item.event)])
            elif item.delivery is not None:
                done.append(item.delivery)
        if done:
            self._consumer.ack(done)
        self.unfold(handled.view)
        due = [handled.view.tasks[task_id].due_at for task_id in handled.view.new_tasks]
        if waits := [moment for moment in due if moment is not None]:
            self._on_retry_due(min(waits))

    def unfold(self, view: View) -> None:
        """Come back for the children that a batch left to be made."""
        self._own.extend(
            ChildrenDue(task_id=soon.task_id, job_id=soon.job_id, root_id=soon.root_id) for soon in view.unfold.values()
        )

    def _one_by_one(self, in_hand: list[InHand], error: BadData) -> None:
        if len(in_hand) == 1:
            self._bury(in_hand[0], error)
            return
        for index, item in enumerate(in_hand):
            try:
                self._handle([item])
            except DatastoreUnavailable:
                self._keep(in_hand[index + 1 :])
                raise

    def _bury(self, item: InHand, failure: Exception) -> None:
        """An event that can't be handled, ever: park it, and let its job fail with the reason."""
        event = item.event
        reason = f"{type(event).__name__} could not be handled: {failure}"
        log.error("%s", reason)
        if item.delivery is not None:
            self._consumer.bury(item.delivery, reason)
        if isinstance(event, RunClaimed | RunEnded | RetryDue | ChildrenDue | RunLost):
            self._own.append(
                EventFailed(task_id=event.task_id, job_id=event.job_id, root_id=event.root_id, reason=reason)
            )

    def _keep(self, in_hand: Sequence[InHand]) -> None:
        self._skipped.extend(in_hand)

    def _give_back(self) -> None:
        deliveries = [item.delivery for item in self._skipped if item.delivery is not None]
        self._skipped = []
        if deliveries:
            self._consumer.put_back(deliveries)

    def _tidy(self) -> None:
        """Nothing to do: remove the outbox rows of what was published last, which otherwise ride with the next batch."""
        published = self._publisher.take_published()
        if not published:
            return
        try:
            self._datastore.forget(published)
        except BaseException:
            self._publisher.put_published(published)
            raise

    def _pause(self, error: TorkError | None) -> None:
        self._failures += 1
        pause = min(FIRST_PAUSE * 2 ** min(self._failures, 10), LONGEST_PAUSE)
        if error is not None:
            log.warning("%s; trying again in %.1f s", error, pause)
        deadline = time.monotonic() + pause
        while not self._stopping.is_set() and (left := deadline - time.monotonic()) > 0:
            self._stopping.wait(left)
