"""Reading heartbeats: they renew leases, and say again what may have been lost on the way.

A listed run counts as its claim, and is told to stop if it owns its task no more; an unacknowledged report counts again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable

from tork.errors import TorkError
from torkd.broker.messages import Heartbeat, RunClaimed
from torkd.broker.protocol import EventConsumer
from torkd.datastore.protocol import Datastore
from torkd.engine.events import EngineEvent

log = logging.getLogger(__name__)

ROUND_SECONDS = 1.0
AT_ONCE = 500


class HeartbeatLoop:
    """One thread that reads the heartbeat queue without a pause longer than a fraction of a lease."""

    def __init__(
        self,
        datastore: Datastore,
        consumer: EventConsumer,
        *,
        lease: float,
        add_events: Callable[[Iterable[EngineEvent]], None],
    ) -> None:
        self._datastore = datastore
        self._consumer = consumer
        self._lease = lease
        self._add_events = add_events
        self._stopping = threading.Event()

    def stop(self) -> None:
        """End `run`."""
        self._stopping.set()
        self._consumer.wake()

    def run(self) -> None:
        """Read until stopped."""
        round_seconds = min(ROUND_SECONDS, self._lease / 6)
        while not self._stopping.is_set():
            try:
                self._round(round_seconds)
            except TorkError as error:
                log.warning("heartbeats can't be noted: %s", error)
                self._stopping.wait(round_seconds)
            except Exception:
                log.exception("the heartbeat loop goes on after an unexpected error")
                self._stopping.wait(round_seconds)

    def close(self) -> None:
        """Read no more."""
        self._consumer.close()

    def _round(self, timeout: float) -> None:
        latest: dict[str, Heartbeat] = {}
        drained = False
        while not drained:
            deliveries = self._consumer.receive(AT_ONCE, timeout)
            heartbeats = [delivery.message for delivery in deliveries if isinstance(delivery.message, Heartbeat)]
            latest.update((heartbeat.lease_id, heartbeat) for heartbeat in heartbeats)
            # A heartbeat that can't be noted is stale by the time the database is back: the next one counts.
            self._consumer.ack(deliveries)
            # Only when none is left unread does silence say anything about a worker.
            drained = len(deliveries) < AT_ONCE
            timeout = 0.0
        self._datastore.record_heartbeats(list(latest.values()), gap_seconds=self._lease / 2)
        self._add_events(event for heartbeat in latest.values() for event in events_of(heartbeat))


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
