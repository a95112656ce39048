"""A worker on an in-memory broker, with somebody who listens to what it says in the coordinator's place."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TypeVar

from tork.errors import BrokerUnavailable
from torkd.broker.memory import MemoryBroker
from torkd.broker.messages import CoordinatorMessage, NodeOrder
from torkd.broker.queues import HEARTBEAT, LOGS, TASK_EVENT_QUEUES
from torkd.middleware import RunHooks
from torkd.runtime.protocol import Runtime
from torkd.tracing.protocol import Tracing
from torkd.worker import Worker, WorkerOptions

M = TypeVar("M")
NODE_ID = "n1"


class UnreliableBroker(MemoryBroker):
    """Fails to publish events while `is_away`."""

    def __init__(self) -> None:
        super().__init__()
        self.is_away = False

    def publish_events(self, messages: Sequence[CoordinatorMessage]) -> None:
        """Fails, or sends."""
        if self.is_away:
            raise BrokerUnavailable("the broker is away")
        super().publish_events(messages)


class WorkerUnderTest:
    """A worker that runs, and everything it said in the order of arrival."""

    def __init__(
        self,
        runtime: Runtime,
        environ: dict[str, str] | None = None,
        hooks: RunHooks | None = None,
        tracing: Tracing | None = None,
        **options: object,
    ) -> None:
        self.broker = UnreliableBroker()
        self.broker.open()
        self.heard: list[CoordinatorMessage] = []
        self._reader = self.broker.consume_events([*TASK_EVENT_QUEUES, LOGS, HEARTBEAT])
        self._closing = False
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()
        ids = itertools.count(1)
        known: dict[str, object] = {"node_id": NODE_ID, "drain_seconds": 20.0, "grace_seconds": 1.0, **options}
        self.worker = Worker(
            self.broker,
            runtime,
            WorkerOptions(**known),  # type: ignore[arg-type]  # a test names the fields it is about
            now=lambda: datetime.now(UTC),
            new_id=lambda: f"id{next(ids)}",
            environ=environ or {},
            hooks=hooks,
            tracing=tracing,
        )
        self.worker.start()

    def of(self, kind: type[M]) -> list[M]:
        """What it said of this kind."""
        return [message for message in list(self.heard) if isinstance(message, kind)]

    def order(self, order: NodeOrder) -> None:
        """Tell the worker something."""
        self.broker.publish_orders(NODE_ID, [order])

    def close(self) -> None:
        """Stop everything."""
        self.broker.is_away = False
        self.worker.stop()
        self._closing = True
        self._reader.close()
        self._listener.join(20)
        self.broker.close()

    def _listen(self) -> None:
        while not self._closing:
            deliveries = self._reader.receive(100, 1.0)
            self.heard.extend(delivery.message for delivery in deliveries)
            self._reader.ack(deliveries)
