"""Tells the coordinators that this worker lives, what it runs, and which reports nobody acknowledged.

The heartbeat has a thread of its own, and the runtime's health is asked for in another, so that neither a long queue of
work nor a container engine that hangs costs the worker its lease.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime

import psutil

from tork.errors import BrokerUnavailable, RuntimeFailure
from tork.node import Node, NodeStatus
from torkd.broker.messages import Heartbeat
from torkd.broker.protocol import Broker
from torkd.broker.queues import node_queue
from torkd.runtime.lost_nodes import LostNodes
from torkd.runtime.protocol import Runtime
from torkd.worker.options import WorkerOptions
from torkd.worker.report import Reporter
from torkd.worker.running import Runs

_LOG = logging.getLogger(__name__)


class Heart:
    """Beats from `start` to `close`."""

    def __init__(
        self,
        broker: Broker,
        runtime: Runtime,
        options: WorkerOptions,
        *,
        lease_id: str,
        runs: Runs,
        reporter: Reporter,
        lost_nodes: LostNodes,
        now: Callable[[], datetime],
    ) -> None:
        self._broker, self._runtime, self._options = broker, runtime, options
        self._lease_id, self._runs, self._reporter, self._now = lease_id, runs, reporter, now
        self._lost_nodes = lost_nodes
        self._started_at = now()
        self._closing = threading.Event()
        self.failure: str | None = None
        """Why tasks can't be run now, if so."""
        self._threads = [
            threading.Thread(target=self._watch_health, name="worker-health", daemon=True),
            threading.Thread(target=self._beat_on, name="worker-heartbeat", daemon=True),
        ]

    def start(self) -> None:
        """Begin. The first heartbeat is sent before this returns, so that the lease is known when the first claim is."""
        psutil.cpu_percent()  # the first call has nothing to compare with
        self._beat()
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop beating."""
        self._closing.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout=1.0)  # a runtime that hangs must not hold up the end

    def node(self) -> Node:
        """This worker as others see it."""
        options = self._options
        return Node(
            id=options.node_id,
            name=options.name,
            started_at=self._started_at,
            cpu_percent=psutil.cpu_percent(),
            last_heartbeat_at=self._now(),
            queue=node_queue(options.node_id),
            status=NodeStatus.DOWN if self.failure else NodeStatus.UP,
            hostname=options.hostname,
            port=options.port,
            task_count=len(self._runs),
            version=options.version,
        )

    def _beat_on(self) -> None:
        while not self._closing.wait(self._options.heartbeat_seconds):
            self._beat()

    def _beat(self) -> None:
        try:
            # The running ones are read first: a run that ends in between is named twice, never left out.
            running = self._runs.references()
            heartbeat = Heartbeat(
                node=self.node(),
                lease_id=self._lease_id,
                running=running,
                unacknowledged=self._reporter.to_repeat(),
                dead_nodes=self._lost_nodes.asked,
            )
            self._broker.publish_events([heartbeat])
        except BrokerUnavailable as error:
            _LOG.warning("a heartbeat could not be sent: %s", error)
        except Exception:  # noqa: BLE001 -- without heartbeats the worker would lose its tasks
            _LOG.exception("a heartbeat failed")

    def _watch_health(self) -> None:
        while True:
            failure = self._check_health()
            if failure and failure != self.failure:
                _LOG.warning("tasks can't be run: %s", failure)
            self.failure = failure
            if self._closing.wait(self._options.heartbeat_seconds):
                return

    def _check_health(self) -> str | None:
        try:
            self._runtime.check_health()
        except RuntimeFailure as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 -- a runtime may be anybody's; a failure is an answer
            _LOG.exception("the runtime's health could not be checked")
            return f"the runtime's health could not be checked: {error}"
        return None
