"""Schedules within a transaction: their rows are locked before any job's, and nobody who has a job's lock waits for one of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import msgspec
from psycopg.rows import dict_row

from tork import wire
from tork.errors import BadData, NotFound
from tork.job import Overlap
from tork.wire import as_utc
from torkd.datastore.postgres.pool import Connection
from torkd.datastore.postgres.querying import Row, bindable
from torkd.datastore.postgres.schedule_rows import changed_row, new_row, read_schedule_row
from torkd.datastore.postgres.sealed_columns import SealedColumns
from torkd.datastore.postgres.statements import load_statements
from torkd.datastore.scheduling import Instance, LockedSchedules, ScheduleRow, Tick

SQL = load_statements("schedules.sql")


class ScheduleBatch:
    """Implements `torkd.datastore.scheduling.SchedulingBatch` on one connection, which is in pipeline mode."""

    def __init__(self, connection: Connection, columns: SealedColumns) -> None:
        self._connection, self._columns = connection, columns

    def now(self) -> datetime:
        """The time of the transaction."""
        row = self._connection.execute(SQL.now).fetchone()
        assert row is not None
        return as_utc(row[0])

    def add_schedule(self, row: ScheduleRow) -> None:
        """A new one."""
        self._connection.execute(SQL.add_schedule, {"rows": self._columns.rows_text([new_row(row)], job="id")})

    def lock_schedule(self, schedule_id: str) -> LockedSchedules:
        """Wait for this one."""
        found = self._fetch(SQL.lock_schedule, {"id": bindable(schedule_id)})
        if not found:
            raise NotFound("scheduled job not found")
        return self._locked(found)

    def lock_due(self, *, limit: int, only: Collection[str] = ()) -> LockedSchedules:
        """ACTIVE ones that are due, without those that somebody else has."""
        found = self._fetch(SQL.lock_due, {"limit": limit, "only": list(only)})
        return self._locked(found) if found else LockedSchedules(now=self.now(), rows=[])

    def take_ticks(self, ticks: Sequence[Tick]) -> set[str]:
        """Write them down; the ids of their jobs, without those whose tick had fired before."""
        if not ticks:
            return set()
        rows = self._connection.execute(SQL.take_ticks, {"rows": wire.encode_text([_tick_row(tick) for tick in ticks])})
        return {job_id for (job_id,) in rows.fetchall()}

    def update_schedules(self, rows: Sequence[ScheduleRow]) -> None:
        """Store state, times and error."""
        if rows:
            text = self._columns.rows_text([changed_row(row) for row in rows], job="id")
            self._connection.execute(SQL.update_schedules, {"rows": text})

    def set_back(self, schedule_id: str, error: str, *, seconds: float) -> None:
        """Note what is wrong, and look again after a while."""
        text = self._columns.rows_text([{"id": schedule_id, "error": bindable(error)}], job="id")
        self._connection.execute(SQL.set_back, {"rows": text, "seconds": seconds})

    def _fetch(self, statement: str, values: dict[str, Any]) -> list[Row]:
        with self._connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(statement, values).fetchall()

    def _locked(self, found: list[Row]) -> LockedSchedules:
        rows: list[ScheduleRow] = []
        unreadable: dict[str, str] = {}
        for row in found:
            try:
                rows.append(read_schedule_row(self._columns.open_row(row, row["id"])))
            except (BadData, msgspec.MsgspecError) as error:
                unreadable[row["id"]] = f"it can't be read: {error}"
        instances: dict[str, list[Instance]] = {}
        if exclusive := [row.id for row in rows if row.overlap is not Overlap.ALLOW]:
            active = self._connection.execute(SQL.active_instances, {"ids": exclusive, "limit": None})
            for schedule_id, job_id, root_id in active.fetchall():
                instances.setdefault(schedule_id, []).append(Instance(job_id=job_id, root_id=root_id))
        return LockedSchedules(now=as_utc(found[0]["now"]), rows=rows, instances=instances, unreadable=unreadable)


def _tick_row(tick: Tick) -> dict[str, Any]:
    return {"schedule_id": tick.schedule_id, "tick": tick.tick, "job_id": tick.job_id}
