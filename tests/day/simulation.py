"""A day's work on the real database without its waiting: jobs come, run, print, end, and are removed soon afterwards.

What a day does to tables is that rows come and go; how fast makes no difference to what is left. So the retention is seconds,
and the server vacuums as much oftener.
"""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg

from tests.support.builders import claim_of, report_of
from tests.support.datastore_play import DatastorePlay
from tork.job import JobDefinition
from tork.node import Node, NodeStatus
from tork.task import TaskDefinition
from torkd.broker.messages import Heartbeat, LogPrinted
from torkd.datastore.protocol import Dispatch
from torkd.engine.events import JobSubmitted

JOBS_A_ROUND = 40
KEPT_SECONDS = 2.0
_HASTE = ("autovacuum_naptime = '1s'", "autovacuum_vacuum_cost_delay = 0")

_SIZES = """
SELECT coalesce(parent.relname, c.relname)::text AS name, sum(pg_total_relation_size(c.oid))::bigint AS bytes,
       sum(s.n_live_tup)::bigint AS live, sum(s.n_dead_tup)::bigint AS dead
  FROM pg_class c
  JOIN pg_stat_user_tables s ON s.relid = c.oid
  LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
  LEFT JOIN pg_class parent ON parent.oid = i.inhparent
 WHERE c.relkind = 'r' GROUP BY 1 ORDER BY 2 DESC
"""


@dataclass(frozen=True, slots=True)
class TableSize:
    """A table with its indexes, all partitions together."""

    name: str
    bytes: int
    live: int
    dead: int


def hasten_vacuum(dsn: str) -> None:
    """Let the server vacuum as often as a day of seconds needs."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        for setting in _HASTE:
            connection.execute(f"ALTER SYSTEM SET {setting}".encode())
        connection.execute("SELECT pg_reload_conf()")


class Day:
    """One engine's work on one database."""

    def __init__(self, play: DatastorePlay, *, kept_seconds: float = KEPT_SECONDS) -> None:
        self._play = play
        self._kept_seconds = kept_seconds
        self._numbers = itertools.count(1)
        self._published: list[Dispatch] = []
        self.jobs_done = 0

    def run(self, seconds: float) -> None:
        """Work for so long."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.round()

    def round(self) -> None:
        """Some jobs from their submission to their end, a heartbeat of everybody, and the removal of what is old."""
        play = self._play
        play.now = datetime.now(UTC)
        jobs = [f"job{next(self._numbers)}" for _ in range(JOBS_A_ROUND)]
        self._handle(*(JobSubmitted(job_id=job, definition=_DEFINITION, created_by="ann") for job in jobs))
        for name in ("first", "second"):
            tasks = [task for task in play.tasks(state="SCHEDULED") if task.name == name]
            self._handle(*(claim_of(task) for task in tasks))
            play.datastore.add_log_parts(
                [
                    LogPrinted(
                        task_id=task.id,
                        job_id=task.job_id,
                        run_id=f"run of {task.id}",
                        dispatch=1,
                        number=number,
                        contents="a line of the log\n" * 20,
                        printed_at=play.now,
                    )
                    for task in tasks
                    for number in (1, 2)
                ]
            )
            self._handle(*(report_of(task, result="a result", log_parts=2) for task in tasks))
        self.jobs_done += len(jobs)
        play.datastore.record_heartbeats([_heartbeat(node, play.now) for node in range(10)], gap_seconds=5.0)
        play.datastore.events_due(now=play.now, lease_seconds=15.0, limit=100)
        while play.datastore.delete_old(jobs_seconds=self._kept_seconds, logs_seconds=self._kept_seconds, limit=500):
            pass

    def sizes(self) -> dict[str, TableSize]:
        """Every table, the largest first."""
        return {row["name"]: TableSize(**row) for row in self._play.rows(_SIZES)}

    def _handle(self, *events: JobSubmitted | object) -> None:
        published, self._published = self._published, []
        handled = self._play.handle(*events, forget=published)  # type: ignore[arg-type]  # events of the engine
        self._published = [Dispatch(task_id=task.id, dispatch=task.dispatch) for task in handled.view.sent_rows()]


_DEFINITION = JobDefinition(
    name="a job of the day",
    description="two tasks that hand something on",
    inputs={"file": "a-name.txt"},
    tasks=[
        TaskDefinition(name="first", run="true", var="first", env={"FILE": "{{ inputs.file }}"}),
        TaskDefinition(name="second", run="true", env={"RESULT": "{{ tasks.first }}"}),
    ],
)


def _heartbeat(number: int, now: datetime) -> Heartbeat:
    node = Node(
        id=f"node-{number}",
        name="Worker",
        started_at=now,
        cpu_percent=1.0,
        last_heartbeat_at=now,
        status=NodeStatus.UP,
        queue=f"x-node-{number}",
        task_count=1,
        version="1",
    )
    return Heartbeat(node=node, lease_id=f"lease of node-{number}")
