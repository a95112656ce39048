"""Schedules outside of batches: reading them for people, knowing when to look again, clearing away those that were deleted."""

from __future__ import annotations

from msgspec.structs import replace

from tork.errors import NotFound
from tork.page import Page
from tork.schedule import ScheduledJob
from torkd.datastore.account_protocol import Viewer
from torkd.datastore.postgres.account_rows import read_permission
from torkd.datastore.postgres.pages import COUNT_LIMIT, offset_of, page_of
from torkd.datastore.postgres.pool import Pool
from torkd.datastore.postgres.querying import Querying, Row, bindable
from torkd.datastore.postgres.schedule_rows import read_scheduled_job
from torkd.datastore.postgres.sealed_columns import SealedColumns
from torkd.datastore.postgres.statements import load_statements
from torkd.datastore.scheduling import Cleared, Instance

SQL = load_statements("schedules.sql")


class ScheduleReading(Querying):
    """The part of reading that is about schedules."""

    def get_schedule(self, schedule_id: str) -> ScheduledJob:
        with self._cursor() as cursor:
            rows = cursor.execute(SQL.get_schedules, {"ids": [bindable(schedule_id)]}).fetchall()
            if not rows:
                raise NotFound("scheduled job not found")
            is_restricted = rows[0]["is_restricted"]
            named = cursor.execute(SQL.get_permissions, {"id": rows[0]["id"]}).fetchall() if is_restricted else []
        return replace(self._scheduled(rows[0]), permissions=[read_permission(one) for one in named])

    def list_schedules(self, *, page: int, size: int, viewer: Viewer | None = None) -> Page[ScheduledJob]:
        seen_by = {"viewer": viewer.user_id if viewer else None, "viewer_ids": viewer.ids if viewer else None}
        place = {"size": size, "offset": offset_of(page, size)}
        with self._cursor() as cursor:
            found = cursor.execute(SQL.find_schedules, seen_by | place).fetchall()
            counted = cursor.execute(SQL.count_schedules, seen_by | {"limit": COUNT_LIMIT}).fetchall()[0]["total"]
            ids = [row["id"] for row in found]
            rows = cursor.execute(SQL.get_schedules, {"ids": ids}).fetchall() if ids else []
        return page_of([self._scheduled(row) for row in rows], page=page, size=size, counted=counted)

    def _scheduled(self, row: Row) -> ScheduledJob:
        return read_scheduled_job(self._columns.open_row(row, row["id"]))


class ScheduleUpkeep:
    """What coordinators ask between ticks."""

    def __init__(self, pool: Pool, columns: SealedColumns) -> None:
        self._pool = pool
        self._sealed = columns

    def seconds_to_next_tick(self) -> float | None:
        """How long until a schedule is due."""
        with self._pool.connection() as connection:
            row = connection.execute(SQL.seconds_to_next_tick).fetchone()
        return row[0] if row else None

    def clear_schedules(self, *, limit: int) -> Cleared:
        """Let the retention remove jobs of deleted schedules; forget those that have none, and old ticks."""
        with self._pool.connection() as connection:
            [ticks] = connection.execute(SQL.forget_ticks, {"limit": limit}).fetchall()[0]
            deleted = [row[0] for row in connection.execute(SQL.lock_deleted).fetchall()]
            if not deleted:
                return Cleared(more=ticks >= limit)
            active = connection.execute(SQL.active_instances, {"ids": deleted, "limit": limit}).fetchall()
            marked = connection.execute(SQL.let_instances_go, {"ids": deleted, "limit": limit}).rowcount
            forgotten = connection.execute(SQL.forget_deleted, {"ids": deleted}).rowcount
        return Cleared(
            instances=[Instance(job_id=job_id, root_id=root_id) for _, job_id, root_id in active],
            remaining=len(deleted) - forgotten,
            more=max(ticks, marked) >= limit,
        )
