"""Reads what coordinators tell this node, and does it."""

from __future__ import annotations

import logging
import threading
from typing import assert_never

from tork.errors import BrokerUnavailable
from torkd.broker.messages import AcknowledgeRuns, ForgetNodes, GrantRuns, NodeOrder, RefuseRuns, StopRuns
from torkd.broker.protocol import Broker, OrderConsumer
from torkd.runtime.lost_nodes import LostNodes
from torkd.worker.report import Reporter
from torkd.worker.running import Runs

_RECEIVE_SECONDS = 60.0
_RETRY_SECONDS = 1.0
_PAUSE_SECONDS = 0.01
"""After orders, so that the next are taken together: most are acknowledgements, one for each short task."""

_LOG = logging.getLogger(__name__)


class OrderReader:
    """The thread of the node's private queue."""

    def __init__(self, broker: Broker, node_id: str, runs: Runs, reporter: Reporter, lost_nodes: LostNodes) -> None:
        self._broker, self._node_id = broker, node_id
        self._runs, self._reporter, self._lost_nodes = runs, reporter, lost_nodes
        self._closing = threading.Event()
        self._consumer: OrderConsumer | None = None
        self._thread = threading.Thread(target=self._serve, name="worker-orders", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End."""
        self._closing.set()
        consumer = self._consumer
        if consumer is not None:
            _close(consumer)
        if self._thread.is_alive():
            self._thread.join(timeout=1.0)

    def _serve(self) -> None:
        while not self._closing.is_set():
            try:
                self._read()
            except BrokerUnavailable as error:
                _LOG.warning("orders can't be read now: %s", error)
            except Exception:  # noqa: BLE001 -- without orders nothing could be cancelled
                _LOG.exception("reading orders failed")
            self._closing.wait(_RETRY_SECONDS)

    def _read(self) -> None:
        self._consumer = consumer = self._broker.consume_orders(self._node_id)
        try:
            while not self._closing.is_set():
                orders = consumer.receive(_RECEIVE_SECONDS)
                for order in orders:
                    self._obey(order)
                if orders:
                    self._closing.wait(_PAUSE_SECONDS)
        finally:
            self._consumer = None
            _close(consumer)

    def _obey(self, order: NodeOrder) -> None:
        match order:
            case AcknowledgeRuns():
                self._reporter.forget(order.run_ids)
            case GrantRuns():
                self._runs.grant(order.run_ids)
            case RefuseRuns() | StopRuns():
                self._runs.stop(order.run_ids)
                self._reporter.forget(order.run_ids)
            case ForgetNodes():
                self._lost_nodes.tell(order.node_ids)
            case _:
                assert_never(order)


def _close(consumer: OrderConsumer) -> None:
    try:
        consumer.close()
    except BrokerUnavailable:
        _LOG.debug("the consumer of orders went with the broker")
