"""What people ask of schedules: to add one, pause and resume it, start its job now, delete it with its jobs.

Each is one transaction that holds the lock of the schedule's row, as a tick does: what is paused does not fire any more once
that is answered, and what is deleted has no new job.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from tork.definition import CronError
from tork.errors import StateConflict, TorkError
from tork.job import CatchUp, JobDefinition, Overlap
from torkd.coordinator.handle import Handled, fold
from torkd.coordinator.tick_loop import TickLoop
from torkd.coordinator.ticks import submission_of
from torkd.datastore.account_protocol import Submitter
from torkd.datastore.protocol import Accepted, Datastore, IdempotencyKey
from torkd.datastore.scheduling import ACTIVE, DELETED, PAUSED, ScheduleRow
from torkd.engine.events import CancelRequested

log = logging.getLogger(__name__)

LOCK_SECONDS = 10.0
"""How long to wait for a job that is to be replaced."""


class Schedules:
    """Any thread may ask. `zone` is the time zone of schedules that name none."""

    def __init__(
        self,
        datastore: Datastore,
        *,
        new_id: Callable[[], str],
        zone: str,
        publish: Callable[[Handled], None],
        loop: TickLoop,
    ) -> None:
        self._datastore = datastore
        self._new_id = new_id
        self._zone = zone
        self._publish = publish
        self._loop = loop

    def add(self, definition: JobDefinition, *, submitter: Submitter, key: IdempotencyKey | None) -> Accepted:
        """A new schedule. Raises `IdempotencyConflict`."""
        schedule_id = self._new_id()
        with self._datastore.begin() as batch:
            if key is not None and (accepted := batch.accept(key, schedule_id)).repeated:
                return accepted
            now = batch.now()
            row = ScheduleRow(
                id=schedule_id,
                definition=definition,
                zone=self._zone,
                created_by=submitter.user_id,
                viewers=submitter.viewers,
                created_at=now,
                next_tick_at=None,
                due_at=None,
            )
            first = row.fire_times().after(now)
            batch.add_schedule(replace(row, next_tick_at=first, due_at=first))
            if submitter.act is not None:
                batch.audit([replace(submitter.act, target=schedule_id)])
        self._loop.look()
        return Accepted(job_id=schedule_id, repeated=False, created_at=now)

    def pause(self, schedule_id: str) -> None:
        """Let it fire no more. Raises `NotFound` or `StateConflict`."""
        with self._datastore.begin() as batch:
            [row] = batch.lock_schedule(schedule_id).rows
            if row.state != ACTIVE:
                raise StateConflict("scheduled job is not active")
            batch.update_schedules([replace(row, state=PAUSED, due_at=None)])

    def resume(self, schedule_id: str) -> None:
        """Let it fire again: from its next tick on, unless missed ones are to be made up for. Raises `NotFound` or `StateConflict`."""
        with self._datastore.begin() as batch:
            locked = batch.lock_schedule(schedule_id)
            [row] = locked.rows
            if row.state != PAUSED:
                raise StateConflict("scheduled job is not paused")
            following = row.next_tick_at
            if row.catchup is CatchUp.NONE:
                try:
                    following = row.fire_times().after(locked.now)
                except CronError as error:
                    raise StateConflict(f"scheduled job can't fire: {error}") from error
            batch.update_schedules([replace(row, state=ACTIVE, next_tick_at=following, due_at=following, error="")])
        self._loop.look()

    def delete(self, schedule_id: str) -> None:
        """Remove it with its jobs; those that are active are cancelled before this returns, or of hundreds some. Raises `NotFound`."""
        with self._datastore.begin() as batch:
            [row] = batch.lock_schedule(schedule_id).rows
            batch.update_schedules([replace(row, state=DELETED, due_at=None)])
        # From here on it is gone: whatever happens to this process, any coordinator clears away the rest.
        try:
            self._loop.clear()
        except TorkError as error:
            log.warning(
                "%s; the jobs of a deleted schedule are cleared away later", error, extra={"schedule_id": schedule_id}
            )
            self._loop.clear_soon()
        self._loop.look()

    def run(self, schedule_id: str) -> Accepted:
        """Start its job now, beside its ticks, also while it is paused. Raises `NotFound` or `StateConflict`."""
        with self._datastore.begin() as batch:
            locked = batch.lock_schedule(schedule_id)
            [row] = locked.rows
            active = locked.instances.get(schedule_id, [])
            if active and row.overlap is Overlap.SKIP:
                raise StateConflict(
                    f"job {active[0].job_id} of the scheduled job is active (overlap is skip: cancel it, or wait for it)"
                )
            cancels = [CancelRequested(job_id=job.job_id, root_id=job.root_id) for job in active]
            view = batch.load(cancels, wait=LOCK_SECONDS)
            submission = submission_of(row, self._new_id())
            handled = fold(batch, view, [*cancels, submission], now=locked.now, new_id=self._new_id)
            for event, error in handled.failed:
                if event is submission:
                    raise error
            batch.update_schedules([replace(row, last_at=locked.now)])
        self._publish(handled)
        return Accepted(job_id=submission.job_id, repeated=False, created_at=locked.now)
