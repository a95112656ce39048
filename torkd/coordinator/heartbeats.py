"""Reading heartbeats: they renew leases, and say again what may have been lost on the way.

A listed run counts as its claim, and is told to stop if it owns its task no more; an unacknowledged report counts again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable

from tork.errors import BadData, BrokerUnavailable, TorkError
from tork.node import Node
from torkd.broker.messages import ForgetNodes, Heartbeat, RunClaimed
from torkd.broker.protocol import Broker, EventConsumer
from torkd.broker.queues import HEARTBEAT
from torkd.datastore.protocol import Datastore
from torkd.engine.events import EngineEvent

log = logging.getLogger(__name__)

ROUND_SECONDS = 1.0
AT_ONCE = 500
MOST_IN_HAND = 1
"""A coordinator that hangs keeps so many heartbeats from the others, and no worker is given up for one."""
WAITED_SECONDS = 0.01
"""A heartbeat that was there already comes sooner."""


class HeartbeatLoop:
    """One thread that reads the heartbeat queue without a pause longer than a fraction of a lease.

    A heartbeat is acknowledged when it is noted: one that this coordinator can't note, another can.
    """

    def __init__(
        self,
        datastore: Datastore,
        broker: Broker,
        *,
        lease: float,
        add_events: Callable[[Iterable[EngineEvent]], None],
        on_seen: Callable[[Iterable[Node]], None] | None = None,
    ) -> None:
        """`on_seen` is told of every node whose heartbeat was recorded; it must be quick and not fail."""
        self._datastore = datastore
        self._broker = broker
        self._lease = lease
        self._add_events = add_events
        self._on_seen = on_seen
        self._lock = threading.Lock()
        """Guards the consumer: it is closed by whoever stops this loop."""
        self._consumer: EventConsumer | None = None
        self._stopping = threading.Event()

    def stop(self) -> None:
        """End `run`."""
        with self._lock:
            self._stopping.set()
            if self._consumer is not None:
                self._consumer.wake()

    def run(self) -> None:
        """Read until stopped."""
        round_seconds = min(ROUND_SECONDS, self._lease / 6)
        while not self._stopping.is_set():
            try:
                self._round(self._open(), round_seconds)
            except TorkError as error:
                log.warning("heartbeats can't be noted: %s", error)
                self.close()
                self._stopping.wait(round_seconds)
            except Exception:
                log.exception("the heartbeat loop goes on after an unexpected error")
                self._stopping.wait(round_seconds)
        self.close()

    def close(self) -> None:
        """Read no more; what is not noted is for others."""
        with self._lock:
            consumer, self._consumer = self._consumer, None
        if consumer is None:
            return
        try:
            consumer.close()
        except BrokerUnavailable:
            log.debug("the reader of heartbeats went with the broker")

    def _open(self) -> EventConsumer:
        """The reader. Without a database there is none: another coordinator, which has one, shall get the heartbeats."""
        with self._lock:
            if self._consumer is None:
                self._datastore.check_health()
                self._consumer = self._broker.consume_events([HEARTBEAT], most_in_hand=MOST_IN_HAND)
            return self._consumer

    def _round(self, consumer: EventConsumer, timeout: float) -> None:
        began_at, was_reading = time.monotonic(), consumer.is_reading
        deliveries = consumer.receive(AT_ONCE, timeout)
        # Only when none is left unread does silence say anything about a worker: whoever has to wait has read all.
        # And while the broker is away, nobody is heard: that is a gap, which extends every lease.
        waited = not deliveries or time.monotonic() - began_at >= WAITED_SECONDS
        drained = waited and was_reading and consumer.is_reading
        heartbeats = [delivery.message for delivery in deliveries if isinstance(delivery.message, Heartbeat)]
        latest = list({heartbeat.lease_id: heartbeat for heartbeat in heartbeats}.values())
        try:
            self._datastore.record_heartbeats(latest, gap_seconds=self._lease / 2, drained=drained)
        except BadData as error:
            log.error("heartbeats that the database refuses are left out: %s", error)
        else:
            if self._on_seen is not None:
                self._on_seen(heartbeat.node for heartbeat in latest)
        consumer.ack(deliveries)
        for heartbeat in latest:
            self._add_events(events_of(heartbeat))
            self._answer(heartbeat)

    def _answer(self, heartbeat: Heartbeat) -> None:
        """Which of the nodes that this one asks about are lost."""
        if not heartbeat.dead_nodes:
            return
        lost = self._datastore.lost_nodes(heartbeat.dead_nodes, lease_seconds=self._lease)
        if lost:
            self._broker.publish_orders(heartbeat.node.id, [ForgetNodes(node_ids=lost)])


def events_of(heartbeat: Heartbeat) -> list[EngineEvent]:
    """What a heartbeat repeats."""
    claims: list[EngineEvent] = [
        RunClaimed(
            task_id=run.task_id,
            job_id=run.job_id,
            root_id=run.root_id,
            dispatch=run.dispatch,
            run_id=run.run_id,
            node_id=heartbeat.node.id,
            lease_id=heartbeat.lease_id,
            started_at=run.started_at,
        )
        for run in heartbeat.running
    ]
    return claims + list(heartbeat.unacknowledged)
