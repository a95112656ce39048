"""The queues that coordinators read: batches over several queues, delays, and the queue of what could not be handled.

One lock for all of them: a batch is taken in one go, and there are few readers. A message wakes one reader at most; a
reader that leaves something behind wakes the next.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections import deque
from collections.abc import Collection, Sequence

from tork.errors import BrokerUnavailable
from tork.node import Queue
from torkd.broker.memory.dead import DeadLetters
from torkd.broker.memory.event_delivery import MemoryEventDelivery
from torkd.broker.memory.waiting import WakeUp
from torkd.broker.messages import CoordinatorMessage, LogPrinted
from torkd.broker.protocol import EventDelivery
from torkd.broker.queues import COMPLETED, DEAD, ERROR, HEARTBEAT, LOGS, PROGRESS, STARTED, queue_of

HEARTBEAT_SECONDS_TO_LIVE = 10.0
"""An older heartbeat says nothing any more."""
MAX_LOG_LENGTH = 32_000_000
"""How many characters of logs may wait to be stored. Whoever prints faster has to wait: memory must not grow without bound."""


class EventQueues:
    """All queues of messages to the coordinators. Everything in here is guarded by `lock`."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.readers: list[MemoryEventConsumer] = []
        self.dead = DeadLetters()
        self._waiting: dict[str, deque[MemoryEventDelivery]] = {
            name: deque() for name in (STARTED, COMPLETED, ERROR, PROGRESS, LOGS, HEARTBEAT)
        }
        self._delayed: list[tuple[float, int, MemoryEventDelivery]] = []
        self._order = itertools.count()
        self._log_length = 0

    def publish(self, messages: Sequence[CoordinatorMessage]) -> None:
        """Add each to the queue of its kind. Raises `BrokerUnavailable`, and adds none, when too much of logs waits already."""
        now = time.monotonic()
        length = sum(len(message.contents) for message in messages if isinstance(message, LogPrinted))
        with self.lock:
            if length and self._log_length > MAX_LOG_LENGTH:
                raise BrokerUnavailable("logs are printed faster than they are stored")
            self._log_length += length
            for message in messages:
                name = queue_of(message)
                waiting = self._waiting[name]
                waiting.append(MemoryEventDelivery(message, name, now))
                if name == HEARTBEAT:
                    _drop_expired(waiting, now)
            self.wake_one()

    def take(self, names: Sequence[str], limit: int) -> list[MemoryEventDelivery]:
        """At most `limit` messages of these queues, the first queue first. The caller holds the lock."""
        if self._delayed:
            self._release_due(time.monotonic())
        taken: list[MemoryEventDelivery] = []
        for name in names:
            waiting = self._waiting.get(name)
            while waiting and len(taken) < limit:
                taken.append(delivery := waiting.popleft())
                self._log_length -= _log_length(delivery)
        return taken

    def put_back(self, deliveries: Sequence[MemoryEventDelivery], delay: float) -> None:
        """Add them before what waits, or later. The caller holds the lock."""
        if delay > 0:
            due = time.monotonic() + delay
            for delivery in deliveries:
                heapq.heappush(self._delayed, (due, next(self._order), delivery))
            for reader in self.readers:
                reader.wake_up.ring()  # each that sleeps has a new time to wake at
            return
        for delivery in reversed(deliveries):
            self._waiting[delivery.queue].appendleft(delivery)
            self._log_length += _log_length(delivery)
        self.wake_one()

    def replay_dead(self, letter_id: str) -> None:
        """Add a dead one behind what waits. Raises `NotFound`."""
        with self.lock:
            delivery = self.dead.take(letter_id)
            self._waiting[delivery.queue].append(delivery)
            self._log_length += _log_length(delivery)
            self.wake_one()

    def wake_one(self) -> None:
        """Wake a sleeping reader that has something to read. The caller holds the lock."""
        for reader in self.readers:
            if reader.sleeping and any(self._waiting.get(name) for name in reader.names):
                reader.sleeping = False
                reader.wake_up.ring()
                return

    def seconds_to_next_delayed(self) -> float | None:
        """When a delayed message becomes due, if there is any. The caller holds the lock."""
        return max(self._delayed[0][0] - time.monotonic(), 0.0) if self._delayed else None

    def figures(self) -> list[Queue]:
        """How full each queue is; delayed messages wait too."""
        with self.lock:
            sizes = {name: len(waiting) for name, waiting in self._waiting.items()}
            for _, _, delivery in self._delayed:
                sizes[delivery.queue] += 1
            found = [
                Queue(name=name, size=size, subscribers=self._readers_of(name), unacked=self._unacked_of(name))
                for name, size in sizes.items()
            ]
            return [*found, Queue(name=DEAD, size=len(self.dead), subscribers=0, unacked=0)]

    def _readers_of(self, name: str) -> int:
        return sum(name in reader.names for reader in self.readers)

    def _unacked_of(self, name: str) -> int:
        return sum(delivery.queue == name for reader in self.readers for delivery in reader.in_hand)

    def _release_due(self, now: float) -> None:
        while self._delayed and self._delayed[0][0] <= now:
            delivery = heapq.heappop(self._delayed)[2]
            self._waiting[delivery.queue].append(delivery)
            self._log_length += _log_length(delivery)


def _log_length(delivery: MemoryEventDelivery) -> int:
    return len(delivery.message.contents) if isinstance(delivery.message, LogPrinted) else 0


class MemoryEventConsumer:
    """One reader of several queues. Its fields are guarded by the lock of the queues."""

    def __init__(self, queues: EventQueues, names: Collection[str]) -> None:
        self.names = deque(names)
        """In the order of the next batch: it rotates, so that a full queue does not starve the others."""
        self.wake_up = WakeUp()
        self.sleeping = False
        self.in_hand: dict[MemoryEventDelivery, None] = {}
        self._queues = queues
        self._closed = False
        self._woken = False
        with queues.lock:
            queues.readers.append(self)

    @property
    def is_reading(self) -> bool:
        """Always, until it is closed."""
        return not self._closed

    def receive(self, limit: int, timeout: float) -> Sequence[MemoryEventDelivery]:
        """What is there, at most `limit`; waits for the first only."""
        deadline = time.monotonic() + timeout
        while True:
            with self._queues.lock:
                taken = self._take(limit)
                wait = deadline - time.monotonic()
                if taken or self._closed or self._woken or wait <= 0:
                    self._woken = False
                    return taken
                due = self._queues.seconds_to_next_delayed()
                self.sleeping = True
                self.wake_up.forget()
            self.wake_up.sleep(wait if due is None else min(wait, due))
            with self._queues.lock:
                self.sleeping = False

    def ack(self, deliveries: Sequence[EventDelivery]) -> None:
        """They are dealt with."""
        with self._queues.lock:
            self._release(deliveries)

    def put_back(self, deliveries: Sequence[EventDelivery], delay: float = 0.0) -> None:
        """Deliver them again, not before `delay` seconds from now."""
        with self._queues.lock:
            self._queues.put_back(self._release(deliveries), delay)

    def bury(self, delivery: EventDelivery, reason: str) -> None:
        """Move it to the dead."""
        with self._queues.lock:
            for released in self._release([delivery]):
                self._queues.dead.add(released, reason)

    def wake(self) -> None:
        """Make the `receive` that waits return now, or the next one."""
        with self._queues.lock:
            self._woken = True
            self.wake_up.ring()

    def close(self) -> None:
        """Read no more; what is in hand is for the others."""
        with self._queues.lock:
            if self._closed:
                return
            self._closed = True
            self._queues.readers.remove(self)
            held, self.in_hand = list(self.in_hand), {}
            self._queues.put_back(held, 0.0)
            self.wake_up.ring()

    def _take(self, limit: int) -> list[MemoryEventDelivery]:
        if self._closed:
            return []
        taken = self._queues.take(self.names, limit)
        self.names.rotate(-1)
        self.in_hand.update(dict.fromkeys(taken))
        self._queues.wake_one()
        return taken

    def _release(self, deliveries: Sequence[EventDelivery]) -> list[MemoryEventDelivery]:
        released = []
        for delivery in deliveries:
            if isinstance(delivery, MemoryEventDelivery) and delivery in self.in_hand:
                del self.in_hand[delivery]
                released.append(delivery)
        return released


def _drop_expired(heartbeats: deque[MemoryEventDelivery], now: float) -> None:
    while heartbeats and now - heartbeats[0].put_at > HEARTBEAT_SECONDS_TO_LIVE:
        heartbeats.popleft()
