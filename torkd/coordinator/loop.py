"""The batch loop: take whatever events are there, handle them together, publish, acknowledge.

No delay is added to fill a batch. Events of a root that somebody else works on stay in hand; after a few rounds the events of
one such root wait for its lock alone, so that a busy job neither stalls the others nor starves itself.

Invariant: an event is in one of three places until it is dealt with: among those kept here, in the batch being handled, or
with the broker. It leaves by an acknowledgement after the commit, or to the `dead` queue after its job has failed.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from tork.errors import DatastoreUnavailable, TorkError, Unavailable
from torkd.broker.messages import MESSAGE_VERSION, RunClaimed, RunEnded
from torkd.broker.protocol import EventConsumer, EventDelivery
from torkd.coordinator.apply import Publisher
from torkd.coordinator.handle import Handled, handle
from torkd.coordinator.observing import Observer, tally_of
from torkd.coordinator.own_events import OwnEvents
from torkd.coordinator.run_notices import tell_of_runs
from torkd.datastore.protocol import Datastore
from torkd.engine.events import ChildrenDue, EngineEvent, EventFailed, RetryDue, RunLost
from torkd.engine.view import View

log = logging.getLogger(__name__)

MAX_SKIPS = 5
SKIP_SECONDS = 0.005
"""How long to wait for other events when all that is in hand was skipped."""
LOCK_SECONDS = 1.0
"""How long an event waits for its lock, when its turn to wait has come: meanwhile the others wait too."""
IDLE_SECONDS = 0.5
"""How long to wait for an event before tidying up."""
NEWER_SECONDS = 5.0
"""When a message of a newer torkd is delivered again, to somebody who understands it."""
FIRST_PAUSE = 0.05
LONGEST_PAUSE = 2.0
"""Between attempts while the database is away."""


@dataclass(slots=True, eq=False)
class InHand:
    """An event that is being handled. Those of the engine's own making have no delivery to acknowledge."""

    event: EngineEvent
    delivery: EventDelivery | None = None
    skips: int = 0
    poison: str = ""
    """Why what was delivered can't be handled; the event is then the one that lets the job fail."""


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
        observer: Observer | None = None,
    ) -> None:
        self._datastore = datastore
        self._publisher = publisher
        self._consumer = consumer
        self._batch_size = max(batch_size, 1)
        self._clock = clock
        self._new_id = new_id
        self._on_retry_due = on_retry_due
        self._observer = observer
        self._own = OwnEvents()
        self._kept: list[InHand] = []
        self._stopping = threading.Event()
        self._failures = 0

    def add(self, events: Iterable[EngineEvent]) -> None:
        """Events of the engine's own making: retries that are due and the like. May be lost with the process."""
        self._own.add(events)
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

    def drain(self, seconds: float) -> None:
        """Handle what was delivered, once the loop has ended. What the engine found by itself it will find again."""
        deadline = time.monotonic() + seconds
        try:
            while time.monotonic() < deadline:
                self._own.clear()
                if not self._turn(timeout=0.0):
                    break
        except TorkError as error:
            log.warning("%s; what is not handled now is found again at the next start", error)
        finally:
            self._give_back()

    def close(self) -> None:
        """Read no more; what is in hand goes back."""
        self._consumer.close()

    def _turn(self, timeout: float = IDLE_SECONDS) -> bool:
        in_hand = self._take(timeout)
        if not in_hand:
            self._tidy()
            return False
        alone, others = _split(in_hand)
        try:
            if others:
                self._handle(others)
        except BaseException:
            self._keep(alone)
            raise
        if alone:
            self._handle_alone(alone)
        return True

    def _take(self, timeout: float) -> list[InHand]:
        share = max(self._batch_size // 2, 1)
        taken, self._kept = self._kept[:share], self._kept[share:]
        taken.extend(InHand(event) for event in self._own.take(share))
        if taken:
            timeout = min(timeout, SKIP_SECONDS) if all(item.skips for item in taken) else 0.0
        # However many are in hand, there is room for some that come.
        room = max(self._batch_size - len(taken), self._batch_size // 4, 1)
        taken.extend(self._receive(room, timeout))
        if not taken:
            taken.extend(InHand(event) for event in self._own.take(share))
        return taken

    def _receive(self, limit: int, timeout: float) -> list[InHand]:
        try:
            deliveries = self._consumer.receive(limit, timeout)
        except Unavailable as error:
            log.warning("%s", error)
            self._stopping.wait(timeout)
            return []
        newer = [delivery for delivery in deliveries if delivery.message.v > MESSAGE_VERSION]
        if newer:
            self._consumer.put_back(newer, NEWER_SECONDS)
        return [
            InHand(cast(EngineEvent, delivery.message), delivery)
            for delivery in deliveries
            if delivery.message.v <= MESSAGE_VERSION
        ]

    def _handle_alone(self, in_hand: list[InHand]) -> None:
        try:
            self._handle(in_hand, wait=LOCK_SECONDS)
        except DatastoreUnavailable:
            # Still locked, or the database is away. Others come first for a while.
            for item in in_hand:
                item.skips = 0
            raise

    def _handle(self, in_hand: list[InHand], *, wait: float = 0.0) -> None:
        published = self._publisher.take_published()
        events = [item.event for item in in_hand]
        began_at = time.perf_counter()
        try:
            handled = handle(
                self._datastore,
                events,
                now=self._clock(),
                new_id=self._new_id,
                forget=published,
                wait=wait,
            )
        except BaseException as error:
            self._publisher.put_published(published)
            if isinstance(error, Exception) and not isinstance(error, Unavailable | OSError | MemoryError):
                self._one_by_one(in_hand, error, wait)
                return
            self._keep(in_hand)
            raise
        self._failures = 0
        if self._observer is not None:
            self._observer.batch_handled(tally_of(handled, events), time.perf_counter() - began_at)
        tell_of_runs(handled, events)
        try:
            self._publisher.publish(handled)
        finally:
            self._after(handled, in_hand)

    def _after(self, handled: Handled, in_hand: list[InHand]) -> None:
        self._own.add(children_due(handled.view))
        due = [handled.view.tasks[task_id].due_at for task_id in handled.view.new_tasks]
        if waits := [moment for moment in due if moment is not None]:
            self._on_retry_due(min(waits))
        skipped = {id(event) for event in handled.skipped}
        failed = {id(event): failure for event, failure in handled.failed}
        done: list[EventDelivery] = []
        for item in in_hand:
            if id(item.event) in skipped:
                item.skips += 1
                self._keep([item])
            elif id(item.event) in failed:
                self._poisoned(item, failed[id(item.event)])
            elif item.delivery is not None and item.poison:
                self._consumer.bury(item.delivery, item.poison)
            elif item.delivery is not None:
                done.append(item.delivery)
        if done:
            self._consumer.ack(done)

    def _one_by_one(self, in_hand: list[InHand], error: Exception, wait: float) -> None:
        """One of these can't be handled; find out which."""
        if len(in_hand) == 1:
            self._poisoned(in_hand[0], error)
            return
        for index, item in enumerate(in_hand):
            try:
                self._handle([item], wait=wait)
            except BaseException:
                self._keep(in_hand[index + 1 :])
                raise

    def _poisoned(self, item: InHand, failure: Exception) -> None:
        """An event that can't be handled, ever: its job is to fail with the reason, and then it is parked."""
        event = item.event
        reason = item.poison or f"{type(event).__name__} could not be handled: {failure}"
        place = {"job_id": event.job_id, "task_id": getattr(event, "task_id", "")}
        log.error("%s", reason, exc_info=failure, extra=place)
        if self._observer is not None:
            self._observer.event_buried()
        if _is_fatal(item):
            event = cast(RunClaimed | RunEnded | RetryDue | ChildrenDue | RunLost, event)
            ending = EventFailed(task_id=event.task_id, job_id=event.job_id, root_id=event.root_id, reason=reason)
            self._keep([InHand(ending, item.delivery, poison=reason)])
        elif item.delivery is not None:
            self._consumer.bury(item.delivery, reason)

    def _keep(self, in_hand: Sequence[InHand]) -> None:
        self._kept.extend(in_hand)

    def _give_back(self) -> None:
        deliveries = [item.delivery for item in self._kept if item.delivery is not None]
        self._kept = []
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
        if self._observer is not None:
            self._observer.batch_put_off()
        pause = min(FIRST_PAUSE * 2 ** min(self._failures, 10), LONGEST_PAUSE)
        if error is not None:
            log.warning("%s; trying again in %.1f s", error, pause)
        self._stopping.wait(pause)


def children_due(view: View) -> list[EngineEvent]:
    """Coming back for the children that a batch left to be made."""
    return [
        ChildrenDue(task_id=soon.task_id, job_id=soon.job_id, root_id=soon.root_id) for soon in view.unfold.values()
    ]


def _split(in_hand: list[InHand]) -> tuple[list[InHand], list[InHand]]:
    """The events of one root that was skipped too often, and all others."""
    root = next((item.event.root_id for item in in_hand if item.skips >= MAX_SKIPS), None)
    if root is None:
        return [], in_hand
    alone = [item for item in in_hand if item.event.root_id == root]
    return alone, [item for item in in_hand if item.event.root_id != root]


def _is_fatal(item: InHand) -> bool:
    """Whether a job can't go on without this event. What heartbeats repeat, and progress, it can do without."""
    event = item.event
    if isinstance(event, RunClaimed | RunEnded):
        return item.delivery is not None
    return isinstance(event, RetryDue | ChildrenDue | RunLost)
