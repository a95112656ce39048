"""The in-memory broker: the port over plain Python queues, for a process that is coordinator and worker at once.

Nothing survives the process, which the epoch tells: a new broker holds no mark, so the coordinator sends again what the
database says is unfinished. Nothing is bounded, because a publisher that waits for room can wait for itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence

from tork.dead_letter import DeadLetter
from tork.errors import BrokerUnavailable, NotFound
from tork.node import Queue
from torkd.broker.live import LiveDispatcher, LocalSubscription
from torkd.broker.memory.events import EventQueues, MemoryEventConsumer
from torkd.broker.memory.orders import MemoryOrderConsumer, OrderQueues
from torkd.broker.memory.tasks import MemoryTaskConsumer, MemoryTaskQueue
from torkd.broker.messages import CoordinatorMessage, LiveChanges, NodeOrder, RunTask


class MemoryBroker:
    """A `Broker` without a server."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open = False
        self._task_queues: dict[str, MemoryTaskQueue] = {}
        self._events = EventQueues()
        self._orders = OrderQueues()
        self._live = LiveDispatcher()
        self._epochs: set[str] = set()
        self._consumers: list[MemoryTaskConsumer] = []

    def open(self) -> None:
        """Make it usable."""
        self._open = True

    def close(self) -> None:
        """End it: consumers are closed and nothing can be published any more."""
        with self._lock:
            self._open = False
            slots, self._consumers = self._consumers, []
        for slot in slots:
            slot.close()
        for reader in list(self._events.readers):
            reader.close()
        for order_readers in list(self._orders.readers.values()):
            for order_reader in list(order_readers):
                order_reader.close()
        self._live.close()

    def publish_tasks(self, tasks: Sequence[RunTask]) -> None:
        """Put each on its own queue."""
        self.check_health()
        for task in tasks:
            queue = self._task_queues.get(task.queue) or self._task_queue(task.queue)
            queue.put(task)

    def send_tasks(self, tasks: Sequence[RunTask], on_confirmed: Callable[[], None]) -> None:
        """The same: nothing has to be waited for."""
        self.publish_tasks(tasks)
        on_confirmed()

    def publish_events(self, messages: Sequence[CoordinatorMessage]) -> None:
        """Send to the coordinators."""
        self.check_health()
        self._events.publish(messages)

    def publish_orders(self, node_id: str, orders: Sequence[NodeOrder]) -> None:
        """Send to one node."""
        self.check_health()
        self._orders.publish(node_id, orders)

    def publish_live(self, changes: LiveChanges) -> None:
        """Tell every subscriber."""
        self.check_health()
        self._live.publish(changes)

    def consume_tasks(self, queue: str) -> MemoryTaskConsumer:
        """A new slot on a task queue."""
        self.check_health()
        slot = MemoryTaskConsumer(self._task_queue(queue), self._forget)
        with self._lock:
            self._consumers.append(slot)
        return slot

    def consume_events(self, queues: Collection[str], *, most_in_hand: int | None = None) -> MemoryEventConsumer:  # noqa: ARG002 -- all readers hang together
        """A new reader of these queues."""
        self.check_health()
        return MemoryEventConsumer(self._events, queues)

    def consume_orders(self, node_id: str) -> MemoryOrderConsumer:
        """The reader of the node's private queue."""
        self.check_health()
        return MemoryOrderConsumer(self._orders, node_id)

    def subscribe(self, listener: Callable[[LiveChanges | None], None]) -> LocalSubscription:
        """Call `listener` for every change."""
        self.check_health()
        return self._live.subscribe(listener)

    def queues(self, perhaps: Collection[str] = ()) -> list[Queue]:  # noqa: ARG002 - all are known anyway
        """Every queue with its figures."""
        self.check_health()
        with self._lock:
            task_queues = list(self._task_queues.values())
        return [*(queue.figures() for queue in task_queues), *self._events.figures(), *self._orders.figures()]

    def purge(self, queue: str) -> None:
        """Drop what waits in a task queue; its consumers stay."""
        self.check_health()
        found = self._task_queues.get(queue)
        if found is None:
            raise NotFound(f"there is no task queue '{queue}'")
        found.purge()

    def dead_letters(self, limit: int) -> list[DeadLetter]:
        """What was buried, with the reasons."""
        self.check_health()
        with self._events.lock:
            return self._events.dead.letters(limit)

    def replay_dead(self, letter_id: str) -> None:
        """Put it back into the queue it came from."""
        self.check_health()
        self._events.replay_dead(letter_id)

    def remove_dead(self, letter_id: str) -> None:
        """Drop it for good."""
        self.check_health()
        with self._events.lock:
            self._events.dead.take(letter_id)

    def purge_dead(self) -> int:
        """Drop all of them for good."""
        self.check_health()
        with self._events.lock:
            return self._events.dead.clear()

    def has_epoch(self, epoch: str) -> bool:
        """Whether this broker, which began empty, was marked with this epoch."""
        self.check_health()
        return epoch in self._epochs

    def mark_epoch(self, epoch: str) -> None:
        """Leave the mark, for as long as the process lives."""
        self.check_health()
        self._epochs.add(epoch)

    def check_health(self) -> None:
        """Raises `BrokerUnavailable` unless open."""
        if not self._open:
            raise BrokerUnavailable(
                "the in-memory broker is not open (right would be to use it between open and close)"
            )

    def _task_queue(self, name: str) -> MemoryTaskQueue:
        with self._lock:
            return self._task_queues.setdefault(name, MemoryTaskQueue(name))

    def _forget(self, slot: MemoryTaskConsumer) -> None:
        with self._lock:
            if slot in self._consumers:
                self._consumers.remove(slot)
