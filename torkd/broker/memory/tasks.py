"""Task queues: priorities, one message a slot, and giving back what was not acknowledged.

Invariant, under the queue's lock: while a slot sleeps no message waits. So a message that comes is handed straight to one
sleeping slot, and nobody else wakes.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from tork.node import Queue
from tork.task import MAX_PRIORITY
from torkd.broker.memory.waiting import WakeUp
from torkd.broker.messages import RunTask


class MemoryTaskDelivery:
    """A task in hand of one slot."""

    __slots__ = ("_slot", "message", "redelivered")

    def __init__(self, message: RunTask, redelivered: bool, slot: MemoryTaskConsumer) -> None:
        self.message = message
        self.redelivered = redelivered
        self._slot = slot

    def ack(self) -> None:
        """It is dealt with."""
        self._slot.drop(self)

    def requeue(self) -> None:
        """Put it back, first in its priority."""
        self._slot.give_back(self)


class MemoryTaskQueue:
    """What waits for the slots of one task queue."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lock = threading.Lock()
        self.sleeping: dict[MemoryTaskConsumer, None] = {}
        self.consumer_count = 0
        self.unacked = 0
        self._waiting: list[deque[tuple[RunTask, bool]]] = [deque() for _ in range(MAX_PRIORITY + 1)]
        self._non_empty = 0
        """Bit n is set when messages of priority n wait."""

    def put(self, message: RunTask) -> None:
        """Add it behind those of its priority, or hand it to a slot that sleeps."""
        with self.lock:
            if self.sleeping:
                self._hand_over(message, redelivered=False)
                return
            priority = _clamped(message.priority)
            self._waiting[priority].append((message, False))
            self._non_empty |= 1 << priority

    def put_back(self, message: RunTask) -> None:
        """Add it before those of its priority. The caller holds the lock."""
        if self.sleeping:
            self._hand_over(message, redelivered=True)
            return
        priority = _clamped(message.priority)
        self._waiting[priority].appendleft((message, True))
        self._non_empty |= 1 << priority

    def take(self) -> tuple[RunTask, bool] | None:
        """The next message and whether it was delivered before. The caller holds the lock."""
        if not self._non_empty:
            return None
        priority = self._non_empty.bit_length() - 1
        waiting = self._waiting[priority]
        taken = waiting.popleft()
        if not waiting:
            self._non_empty ^= 1 << priority
        return taken

    def purge(self) -> None:
        """Drop what waits; slots and what they hold stay."""
        with self.lock:
            for waiting in self._waiting:
                waiting.clear()
            self._non_empty = 0

    def figures(self) -> Queue:
        """How full it is."""
        with self.lock:
            size = sum(map(len, self._waiting))
            return Queue(name=self.name, size=size, subscribers=self.consumer_count, unacked=self.unacked)

    def _hand_over(self, message: RunTask, *, redelivered: bool) -> None:
        slot, _ = self.sleeping.popitem()
        slot.hand(message, redelivered)


class MemoryTaskConsumer:
    """One slot. Its `_in_hand` and `_handed` are guarded by the queue's lock."""

    def __init__(self, queue: MemoryTaskQueue, on_close: Callable[[MemoryTaskConsumer], None]) -> None:
        self._queue = queue
        self._on_close = on_close
        self._wake_up = WakeUp()
        self._in_hand: dict[MemoryTaskDelivery, None] = {}
        self._handed: MemoryTaskDelivery | None = None
        """Given by a publisher while this slot slept."""
        self._closed = False
        with queue.lock:
            queue.consumer_count += 1

    def receive(self, timeout: float) -> MemoryTaskDelivery | None:
        """The next task, or None after `timeout` seconds or once closed."""
        queue = self._queue
        with queue.lock:
            if self._closed:
                return None
            taken = queue.take()
            if taken is not None:
                return self._hold(*taken)
            if timeout <= 0:
                return None
            queue.sleeping[self] = None
        rang = self._wake_up.sleep(timeout)
        with queue.lock:
            if not rang:
                queue.sleeping.pop(self, None)
                self._wake_up.forget()
            delivery, self._handed = self._handed, None
            return delivery

    def close(self) -> None:
        """Take no more; what is in hand goes back in its old order."""
        queue = self._queue
        with queue.lock:
            if self._closed:
                return
            self._closed = True
            queue.consumer_count -= 1
            queue.sleeping.pop(self, None)
            self._handed = None
            held, self._in_hand = self._in_hand, {}
            queue.unacked -= len(held)
            for delivery in reversed(held):
                queue.put_back(delivery.message)
            self._wake_up.ring()
        self._on_close(self)

    def hand(self, message: RunTask, redelivered: bool) -> None:
        """Give the sleeping slot a message and wake it. The caller holds the queue's lock."""
        self._handed = self._hold(message, redelivered)
        self._wake_up.ring()

    def drop(self, delivery: MemoryTaskDelivery) -> None:
        """Forget a delivery; one that is not in hand any more is ignored."""
        with self._queue.lock:
            if delivery in self._in_hand:
                del self._in_hand[delivery]
                self._queue.unacked -= 1

    def give_back(self, delivery: MemoryTaskDelivery) -> None:
        """Put a delivery back, unless it is not in hand any more."""
        with self._queue.lock:
            if delivery in self._in_hand:
                del self._in_hand[delivery]
                self._queue.unacked -= 1
                self._queue.put_back(delivery.message)

    def _hold(self, message: RunTask, redelivered: bool) -> MemoryTaskDelivery:
        delivery = MemoryTaskDelivery(message, redelivered, self)
        self._in_hand[delivery] = None
        self._queue.unacked += 1
        return delivery


def _clamped(priority: int) -> int:
    return min(max(priority, 0), MAX_PRIORITY)
