"""Looks at database and broker, twice where something seems wrong, and repairs what can be repaired.

Every repair is an event or a row that coordinators know, so it may be done twice and beside coordinators that run: what has
gone on by itself meanwhile is left alone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from tork.diagnosis import Check, Diagnosis, Repair, Treatment
from torkd.broker.protocol import Broker
from torkd.coordinator.apply import Publisher
from torkd.coordinator.coordinator import COMMAND_WAIT_SECONDS
from torkd.coordinator.handle import handle
from torkd.coordinator.outbox import send_leftovers
from torkd.datastore.protocol import Datastore
from torkd.doctor.checks import (
    HAND_OUTS,
    JOBS,
    LEASES,
    OUTBOX,
    RETRIES,
    TASKS,
    Facts,
    confirmed,
    diagnose,
    lost_hand_outs,
)
from torkd.engine.events import EngineEvent

log = logging.getLogger(__name__)

CHUNK = 10_000
"""Hand-outs of one queue that are sent again at a time; more are found by the next look."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DoctorOptions:
    """When something is late. Times are in seconds."""

    lease: float = 15.0
    late: float = 20.0
    """How long what coordinators do by themselves may take."""
    unseen: float = 120.0
    """How old a hand-out is that must have been seen by the broker."""
    pause: float = 2.0
    """Between two looks: what is on its way has gone on by then."""


class Doctor:
    """Over an open datastore, and an open broker if there is one to ask."""

    def __init__(
        self,
        datastore: Datastore,
        broker: Broker | None,
        options: DoctorOptions,
        *,
        new_id: Callable[[], str],
        clock: Callable[[], datetime],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._datastore, self._broker, self._options = datastore, broker, options
        self._new_id, self._clock, self._sleep = new_id, clock, sleep

    def examine(self) -> Diagnosis:
        """Every check. Raises `Unavailable` when the database or the broker does not answer."""
        return self._examine()[0]

    def treat(self, *, dry_run: bool = False) -> Treatment:
        """Repair what is wrong and can be repaired, or only say what would be done; and what is found afterwards."""
        found, facts = self._examine()
        wrong = [check for check in found.checks if not check.ok and check.repair]
        if self._broker is None:
            wrong = [check for check in wrong if check.name != OUTBOX]  # the daemon that has the broker sends them
        if not dry_run:
            for check in wrong:
                self._repair(check, facts)
            if wrong and self._broker is not None:
                while send_leftovers(self._datastore, self._broker):
                    pass
        repairs = [Repair(name=check.name, action=check.repair, ids=check.ids) for check in wrong]
        return Treatment(dry_run=dry_run, repairs=repairs, after=found if dry_run or not wrong else self.examine())

    def _examine(self) -> tuple[Diagnosis, Facts]:
        facts = self._look()
        first = diagnose(facts)
        if first.ok:
            return first, facts
        self._sleep(self._options.pause)
        facts = self._look()
        return confirmed(first, diagnose(facts)), facts

    def _look(self) -> Facts:
        """The database first: what left it for the broker meanwhile is there, and what came back is found in the next look."""
        options = self._options
        examined = self._datastore.examine(
            lease_seconds=options.lease, late_seconds=options.late, unseen_seconds=options.unseen
        )
        queues = self._broker.queues(examined.queues) if self._broker is not None else None
        return Facts(examined=examined, queues=queues, late_seconds=options.late, lease_seconds=options.lease)

    def _repair(self, check: Check, facts: Facts) -> None:
        log.warning("repairing %s: %s", check.name, check.message)
        examined, ids = facts.examined, set(check.ids)
        match check.name:
            case name if name == JOBS:
                self._handle(event for event in examined.stalled_jobs if event.job_id in ids)
            case name if name == TASKS:
                self._handle(event for event in examined.stalled_tasks if event.task_id in ids)
            case name if name == LEASES:
                self._handle(run.lost for run in examined.silent_runs if run.may_be_given_up)
            case name if name == RETRIES:
                self._handle(event for event in examined.late_retries if event.task_id in ids)
            case name if name == HAND_OUTS and facts.queues is not None:
                self._hand_out_again([waiting.queue for waiting in lost_hand_outs(examined, facts.queues)])

    def _handle(self, events: Iterable[EngineEvent]) -> None:
        """Each in a transaction of its own: what one changes makes another of the same job outdated."""
        publisher = Publisher(self._datastore, self._broker) if self._broker is not None else None
        for event in events:
            handled = handle(
                self._datastore, [event], now=self._clock(), new_id=self._new_id, wait=COMMAND_WAIT_SECONDS
            )
            for failed, error in handled.failed:
                log.error("it can't be repaired: %s", error, extra={"job_id": failed.job_id})
            if publisher is not None:
                publisher.publish(handled)
        if publisher is not None and (published := publisher.take_published()):
            self._datastore.forget(published)

    def _hand_out_again(self, queues: list[str]) -> None:
        before = self._clock() - timedelta(seconds=self._options.unseen)
        for queue in queues:
            self._datastore.send_unseen_again(queue, before=before, limit=CHUNK)
