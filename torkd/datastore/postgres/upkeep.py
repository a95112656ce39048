"""Upkeep: heartbeats and leases, what is due, what was left over, logs, retention."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from tork import wire
from tork.errors import BadData
from tork.task import DEFAULT_QUEUE, TaskDefinition
from tork.wire import StoredDecoder
from torkd.broker.messages import Heartbeat, LogPrinted, RunTask
from torkd.datastore.account_protocol import AUDIT_SECONDS
from torkd.datastore.postgres.log_days import COARSE_SECONDS, keep_log_days
from torkd.datastore.postgres.pool import Connection, Pool
from torkd.datastore.postgres.querying import bindable
from torkd.datastore.postgres.sealed_columns import SealedColumns
from torkd.datastore.postgres.statements import load_statements
from torkd.datastore.protocol import Dispatch
from torkd.engine.events import ChildrenDue, EngineEvent, RetryDue, RunLost

log = logging.getLogger(__name__)

SQL = load_statements("upkeep.sql")
BATCH_SQL = load_statements("batch.sql")
WEBHOOK_SQL = load_statements("webhooks.sql")

_decode_task = StoredDecoder(TaskDefinition).decode


class PostgresUpkeep:
    """The half of the datastore that keeps the engine going."""

    def __init__(self, pool: Pool, columns: SealedColumns) -> None:
        self._pool = pool
        self._sealed = columns

    def record_heartbeats(self, heartbeats: Sequence[Heartbeat], *, gap_seconds: float, drained: bool = True) -> None:
        """Renew the leases and nodes that spoke, and note that all were read, if so; a gap longer than that counts."""
        rows = wire.encode_text([_node_row(heartbeat) for heartbeat in heartbeats])
        with self._pool.connection() as connection, connection.pipeline():
            if heartbeats:
                connection.execute(SQL.record_nodes, {"rows": rows})
                connection.execute(SQL.renew_leases, {"rows": rows})
            if drained:
                connection.execute(SQL.note_heartbeats, {"gap": gap_seconds})

    def lost_nodes(self, node_ids: Collection[str], *, lease_seconds: float) -> list[str]:
        """Those of these nodes that hold no lease, as far as that can be known now."""
        with self._pool.connection() as connection:
            rows = connection.execute(SQL.lost_nodes, {"nodes": list(node_ids), "lease": lease_seconds}).fetchall()
        return [row[0] for row in rows]

    def add_log_parts(self, parts: Sequence[LogPrinted]) -> None:
        """Store log parts. A part that the database refuses is replaced by a notice: it must not stop the others."""
        try:
            self._add_log_parts(parts)
        except BadData as error:
            if len(parts) > 1:
                for part in parts:
                    self.add_log_parts([part])
                return
            log.warning("a log part can't be stored: %s", error, extra={"task_id": parts[0].task_id})
            self._add_notice(parts[0], error)

    def _add_notice(self, part: LogPrinted, error: BadData) -> None:
        notice = f"[this part of the log could not be stored: {error}]\n"
        try:
            self._add_log_parts([replace(part, contents=notice)])
        except BadData:
            log.warning("its place in the log stays empty", extra={"task_id": part.task_id})

    def _add_log_parts(self, parts: Sequence[LogPrinted]) -> None:
        rows = [
            {
                "task_id": part.task_id,
                "job_id": part.job_id,
                "dispatch": part.dispatch,
                "run_id": part.run_id,
                "number": part.number,
                "contents": _storable(part.contents),
                "printed_at": part.printed_at,
            }
            for part in parts
        ]
        with self._pool.connection() as connection, connection.pipeline():
            connection.execute(SQL.lock_log)
            connection.execute(SQL.add_log_parts, {"rows": wire.encode_text(rows)})
            # Here, and not by the connection afterwards: it travels along, and the turn of the next writer comes sooner.
            connection.execute("COMMIT")

    def events_due(self, *, now: datetime, lease_seconds: float, limit: int) -> list[EngineEvent]:
        """Retries whose time has come, composites with room for more children, runs whose lease was lost."""
        with self._pool.connection() as connection, connection.pipeline():
            retries = connection.execute(SQL.due_retries, {"now": now, "limit": limit})
            unfolding = connection.execute(SQL.unfolding, {"limit": limit})
            connection.execute(SQL.note_unknown_leases)
            lost = connection.execute(SQL.lost_runs, {"lease": lease_seconds, "limit": limit})
            events: list[EngineEvent] = [
                RetryDue(task_id=task, job_id=job, root_id=root) for task, job, root in retries.fetchall()
            ]
            events += [ChildrenDue(task_id=task, job_id=job, root_id=root) for task, job, root in unfolding.fetchall()]
            events += [
                RunLost(task_id=task, job_id=job, root_id=root, dispatch=dispatch, run_id=run, lease_id=lease)
                for task, job, root, dispatch, run, lease in lost.fetchall()
            ]
        return events

    def root_of(self, job_id: str) -> str | None:
        """The job whose row is locked for changes of this one."""
        with self._pool.connection() as connection:
            row = connection.execute(SQL.root_of, {"job": bindable(job_id)}).fetchone()
        return row[0] if row else None

    @contextmanager
    def leftovers(self, *, older_than_seconds: float, limit: int) -> Iterator[list[RunTask]]:
        """Claim hand-outs that nobody has published; their rows go when the block ends without an error."""
        with self._pool.connection() as connection:
            rows = connection.execute(SQL.leftovers, {"age": older_than_seconds, "limit": limit}).fetchall()
            claimed = [Dispatch(task_id=task_id, dispatch=dispatch) for task_id, dispatch in rows]
            yield _bodies(connection, claimed, self._sealed)
            if claimed:
                connection.execute(BATCH_SQL.delete_outbox, {"published": wire.encode_text(claimed)})

    def forget(self, published: Collection[Dispatch]) -> None:
        """Remove outbox rows of hand-outs that the broker has confirmed."""
        with self._pool.connection() as connection:
            connection.execute(BATCH_SQL.delete_outbox, {"published": wire.encode_text(list(published))})

    def bodies(self, dispatches: Collection[Dispatch]) -> list[RunTask]:
        """The messages of these hand-outs, without those that are not current any more."""
        with self._pool.connection() as connection:
            return _bodies(connection, dispatches, self._sealed)

    def epoch(self) -> str:
        """The name of the broker's present life."""
        with self._pool.connection() as connection:
            row = connection.execute(SQL.epoch).fetchone()
        return str(row[0]) if row else ""

    def begin_epoch(self, epoch: str, *, expected: str) -> bool:
        """Name a new life of the broker, unless somebody else did; everything SCHEDULED is handed out again."""
        with self._pool.connection() as connection:
            if not connection.execute(SQL.begin_epoch, {"epoch": epoch, "expected": expected}).fetchone():
                return False
            connection.execute(SQL.send_all_again)
        return True

    def queues_with_hand_outs(self) -> set[str]:
        """The queues of tasks that no run holds."""
        with self._pool.connection() as connection:
            return {queue for (queue,) in connection.execute(SQL.queues_with_hand_outs).fetchall()}

    def send_unseen_again(self, queue: str, *, before: datetime, limit: int) -> int:
        """Hand out again what was handed out to a queue before then and no run holds; how many there were."""
        with self._pool.connection() as connection:
            return connection.execute(
                SQL.send_unseen_again, {"queue": queue, "before": before, "limit": limit}
            ).rowcount

    def end_leases(self) -> None:
        """Every run of before is lost."""
        with self._pool.connection() as connection:
            connection.execute(SQL.end_leases)

    def forget_everything(self) -> None:
        """Remove all jobs: for a private engine, whose jobs are nobody's business before and after it."""
        with self._pool.connection() as connection:
            connection.execute(SQL.forget_everything)

    def delete_old(
        self, *, jobs_seconds: float, logs_seconds: float, audit_seconds: float = AUDIT_SECONDS, limit: int
    ) -> int:
        """Remove some of what the retention no longer covers; how many rows went. Zero when nothing is left to remove."""
        dropped = keep_log_days(self._pool, logs_seconds)
        with self._pool.connection() as connection:
            if not connection.execute(SQL.lock_retention).fetchone()[0]:  # type: ignore[index]  # it answers always
                return 0
            gone = _delete_jobs(connection, jobs_seconds, limit)
            statement = SQL.delete_old_logs if logs_seconds < COARSE_SECONDS else SQL.delete_old_stray_logs
            gone += connection.execute(statement, {"age": logs_seconds, "limit": limit}).rowcount
            gone += connection.execute(SQL.delete_old_audit, {"age": audit_seconds, "limit": limit}).rowcount
            gone += connection.execute(SQL.delete_old_keys, {"limit": limit}).rowcount
            connection.execute(SQL.forget_leases)
            connection.execute(SQL.forget_nodes)
            connection.execute(SQL.fold_job_counts)
        return gone + dropped


def _delete_jobs(connection: Connection, age: float, limit: int) -> int:
    """Delete the rows of old jobs, `limit` of a kind at most; the jobs themselves once nothing else of them is left."""
    jobs = [row[0] for row in connection.execute(SQL.old_jobs, {"age": age, "limit": limit}).fetchall()]
    if not jobs:
        return 0
    gone = [
        connection.execute(statement, {"jobs": jobs, "limit": limit}).rowcount
        for statement in (SQL.delete_some_tasks, SQL.delete_some_items, SQL.delete_some_log_parts)
    ]
    if max(gone) < limit:
        connection.execute(WEBHOOK_SQL.leave_lanes, {"jobs": jobs})
        connection.execute(WEBHOOK_SQL.forget_lanes, {"jobs": jobs})
        gone.append(connection.execute(SQL.delete_jobs, {"jobs": jobs}).rowcount)
    return sum(gone)


def _storable(contents: str) -> str:
    """Without what no database can hold: NUL, and halves of surrogate pairs."""
    text = contents.replace("\0", "\ufffd")
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _node_row(heartbeat: Heartbeat) -> dict[str, Any]:
    node = heartbeat.node
    return {
        "id": node.id,
        "lease_id": heartbeat.lease_id,
        "name": node.name,
        "hostname": node.hostname,
        "port": node.port,
        "queue": node.queue,
        "status": node.status or "UP",
        "cpu_percent": node.cpu_percent,
        "task_count": node.task_count,
        "version": node.version,
        "started_at": node.started_at,
    }


def _arrays(dispatches: Collection[Dispatch]) -> dict[str, list[Any]]:
    return {"tasks": [sent.task_id for sent in dispatches], "dispatches": [sent.dispatch for sent in dispatches]}


def _bodies(connection: Connection, dispatches: Collection[Dispatch], columns: SealedColumns) -> list[RunTask]:
    if not dispatches:
        return []
    rows = connection.execute(SQL.bodies, _arrays(dispatches)).fetchall()
    return [
        RunTask(
            task_id=row[0],
            job_id=row[1],
            root_id=row[2],
            dispatch=row[3],
            queue=row[4] or DEFAULT_QUEUE,
            priority=row[5],
            definition=_decode_task(columns.open(row[1], row[6])),
            mask=list(dict.fromkeys(columns.open(job_id, secret) for job_id, secret in row[7] or ())),
        )
        for row in rows
    ]
