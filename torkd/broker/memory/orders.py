"""The private queues of nodes: they exist while somebody reads them, and what nobody reads is lost."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from tork.node import Queue
from torkd.broker.memory.waiting import WakeUp
from torkd.broker.messages import NodeOrder
from torkd.broker.queues import node_queue


class OrderQueues:
    """The readers by node id."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.readers: dict[str, list[MemoryOrderConsumer]] = {}

    def publish(self, node_id: str, orders: Sequence[NodeOrder]) -> None:
        """Give them to the first reader of this node."""
        with self.lock:
            for reader in self.readers.get(node_id, [])[:1]:
                reader.waiting.extend(orders)
                reader.wake_up.ring()

    def figures(self) -> list[Queue]:
        """How full each queue is."""
        with self.lock:
            return [
                Queue(
                    name=node_queue(node_id),
                    size=sum(len(reader.waiting) for reader in readers),
                    subscribers=len(readers),
                    unacked=0,
                )
                for node_id, readers in self.readers.items()
            ]


class MemoryOrderConsumer:
    """The reader of one node's queue."""

    def __init__(self, queues: OrderQueues, node_id: str) -> None:
        self.waiting: list[NodeOrder] = []
        self.wake_up = WakeUp()
        self._queues = queues
        self._node_id = node_id
        self._closed = False
        with queues.lock:
            queues.readers.setdefault(node_id, []).append(self)

    def receive(self, timeout: float) -> Sequence[NodeOrder]:
        """What is there, or nothing after `timeout` seconds."""
        if not self.waiting and not self._closed:
            self.wake_up.sleep(timeout)
        with self._queues.lock:
            self.wake_up.forget()
            taken, self.waiting = self.waiting, []
            return taken

    def close(self) -> None:
        """Read no more; the queue goes with its last reader."""
        with self._queues.lock:
            if self._closed:
                return
            self._closed = True
            readers = self._queues.readers[self._node_id]
            readers.remove(self)
            if not readers:
                del self._queues.readers[self._node_id]
            self.waiting = []
            self.wake_up.ring()
