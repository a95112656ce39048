"""A datastore that remembers what a coordinator's loops asked of it, and fails when it is told to."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import cast

from tork.errors import DatastoreUnavailable
from torkd.broker.messages import Heartbeat, LogPrinted, RunTask
from torkd.datastore.protocol import Datastore, Dispatch
from torkd.engine.events import EngineEvent


class UpkeepFake:
    """Only what loops ask of a datastore. `failures` are raised one after the other by whatever is asked next."""

    def __init__(self) -> None:
        self.failures: list[Exception] = []
        self.parts: list[LogPrinted] = []
        self.heartbeats: list[list[Heartbeat]] = []
        self.drained: list[bool] = []
        self.is_away = False
        """For whoever asks before it does anything."""
        self.nodes_with_leases: set[str] = set()
        self.calls: list[str] = []
        self.due: list[EngineEvent] = []
        self.stored: dict[Dispatch, RunTask] = {}
        self.outbox: list[Dispatch] = []
        self.old_rows: list[int] = []
        self.handed_out: set[str] = set()
        self.unseen: dict[str, datetime] = {}
        self.name_of_epoch = ""
        self.wins_epochs = True

    @property
    def as_datastore(self) -> Datastore:
        """For whoever wants a whole one."""
        return cast(Datastore, self)

    def add_log_parts(self, parts: Sequence[LogPrinted]) -> None:
        self._note("add_log_parts")
        self.parts.extend(parts)

    def record_heartbeats(self, heartbeats: Sequence[Heartbeat], *, gap_seconds: float, drained: bool = True) -> None:
        self._note("record_heartbeats")
        self.heartbeats.append(list(heartbeats))
        self.drained.append(drained)

    def lost_nodes(self, node_ids: Collection[str], *, lease_seconds: float) -> list[str]:
        self._note("lost_nodes")
        return [node for node in node_ids if node not in self.nodes_with_leases]

    def check_health(self) -> None:
        self.calls.append("check_health")
        if self.is_away:
            raise DatastoreUnavailable("away")

    def events_due(self, *, now: datetime, lease_seconds: float, limit: int) -> list[EngineEvent]:
        self._note("events_due")
        return self.due[:limit]

    def delete_old(self, *, jobs_seconds: float, logs_seconds: float, audit_seconds: float = 0, limit: int) -> int:
        self._note("delete_old")
        return self.old_rows.pop(0) if self.old_rows else 0

    @contextmanager
    def leftovers(self, *, older_than_seconds: float, limit: int) -> Iterator[list[RunTask]]:
        self._note("leftovers")
        claimed = self.outbox[:limit]
        yield [self.stored[dispatch] for dispatch in claimed if dispatch in self.stored]
        self.outbox = self.outbox[len(claimed) :]

    def bodies(self, dispatches: Collection[Dispatch]) -> list[RunTask]:
        self._note("bodies")
        return [self.stored[dispatch] for dispatch in dispatches if dispatch in self.stored]

    def queues_with_hand_outs(self) -> set[str]:
        self._note("queues_with_hand_outs")
        return self.handed_out

    def send_unseen_again(self, queue: str, *, before: datetime, limit: int) -> int:
        self._note("send_unseen_again")
        self.unseen[queue] = before
        return 1

    def epoch(self) -> str:
        return self.name_of_epoch

    def begin_epoch(self, epoch: str, *, expected: str) -> bool:
        if self.wins_epochs and expected == self.name_of_epoch:
            self.name_of_epoch = epoch
            return True
        return False

    def _note(self, call: str) -> None:
        self.calls.append(call)
        if self.failures:
            raise self.failures.pop(0)
