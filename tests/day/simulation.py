"""A day's work on the real database without its waiting: whatever comes, is changed, ends and is removed in a day comes and goes here.

What a day does to tables is that rows come and go; how fast makes no difference to what is left. So the retention is seconds,
what is kept for hours or days is made as old by hand, and the server vacuums as much oftener. Every table has work to do:
`TableSize.written` tells how much, and a table that has none is shown by nothing not to grow.
"""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import psycopg

from tests.support.builders import claim_of, report_of
from tests.support.datastore_play import DatastorePlay
from tork.job import JobDefinition, Schedule
from tork.node import Node, NodeStatus
from tork.task import Each, TaskDefinition, WebhookDefinition
from torkd.broker.messages import Heartbeat, LogPrinted
from torkd.coordinator.handle import Handled, fold
from torkd.coordinator.ticks import fire_due
from torkd.datastore.account_protocol import Act, NewUser, UserChange
from torkd.datastore.protocol import Dispatch, IdempotencyKey
from torkd.datastore.scheduling import DELETED, ScheduleRow
from torkd.datastore.webhook_protocol import Settlement
from torkd.engine.events import ChildrenDue, JobSubmitted
from torkd.engine.rows import TaskRow

JOBS_A_ROUND = 40
KEYS_A_ROUND = 5
SCHEDULES = 5
WIDE_EVERY = 4
"""Rounds, to a job of so many tasks that they are not all made at once."""
KEPT_SECONDS = 2.0
_HASTE = ("autovacuum_naptime = '1s'", "autovacuum_vacuum_cost_delay = 0")

_SIZES = """
SELECT coalesce(parent.relname, c.relname)::text AS name, sum(pg_total_relation_size(c.oid))::bigint AS bytes,
       sum(s.n_live_tup)::bigint AS live, sum(s.n_dead_tup)::bigint AS dead,
       sum(s.n_tup_ins + s.n_tup_upd + s.n_tup_del)::bigint AS written
  FROM pg_class c
  JOIN pg_stat_user_tables s ON s.relid = c.oid
  LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
  LEFT JOIN pg_class parent ON parent.oid = i.inhparent
 WHERE c.relkind = 'r' GROUP BY 1 ORDER BY 2 DESC
"""
_AGE = (
    "UPDATE idempotency SET expires_at = now() - interval '1 s' WHERE expires_at > now()",
    "UPDATE schedule_ticks SET expires_at = now() - interval '1 s' WHERE expires_at > now()",
    "UPDATE leases SET renewed_at = now() - interval '2 hours' WHERE id LIKE '%% of before'",
    "UPDATE nodes SET last_heartbeat_at = now() - interval '2 days' WHERE lease_id LIKE '%% of before'",
)
"""What is kept for hours or days is so old now."""


@dataclass(frozen=True, slots=True)
class TableSize:
    """A table with its indexes, all partitions together."""

    name: str
    bytes: int
    live: int
    dead: int
    written: int
    """Rows that were added, changed or removed, ever."""


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
        self._made_accounts = False
        self.jobs_done = 0

    def run(self, seconds: float) -> None:
        """Work for so long."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.round()

    def round(self) -> None:
        """Some jobs of every origin to their end, a heartbeat of everybody, what people do, and the removal of what is old."""
        play = self._play
        play.now = datetime.now(UTC)
        number = next(self._numbers)
        jobs = [f"job{number}-{place}" for place in range(JOBS_A_ROUND)]
        self._handle(*(JobSubmitted(job_id=job, definition=_DEFINITION, created_by="ann") for job in jobs))
        if number % WIDE_EVERY == 0:
            self._handle(JobSubmitted(job_id=f"wide{number}", definition=_WIDE, created_by="ann"))
        self._submit_with_keys(number)
        self._fire_schedules(number)
        self._work()
        self.jobs_done += len(jobs) + KEYS_A_ROUND + SCHEDULES
        self._deliver()
        play.datastore.record_heartbeats([_heartbeat(node, play.now) for node in range(10)], gap_seconds=5.0)
        play.datastore.record_heartbeats([_heartbeat(10 + number, play.now, "before")], gap_seconds=5.0)
        play.datastore.events_due(now=play.now, lease_seconds=15.0, limit=100)
        self._people(number)
        self._remove()

    def sizes(self) -> dict[str, TableSize]:
        """Every table, the largest first."""
        return {row["name"]: TableSize(**row) for row in self._play.rows(_SIZES)}

    def _submit_with_keys(self, number: int) -> None:
        play = self._play
        for place in range(KEYS_A_ROUND):
            event = JobSubmitted(job_id=f"keyed{number}-{place}", definition=_HOOKED, created_by="ann")
            with play.datastore.begin() as batch:
                batch.accept(IdempotencyKey(owner="ann", key=event.job_id, body=b"a job"), event.job_id)
                handled = fold(batch, batch.load([event]), [event], now=play.now, new_id=play.new_id)
            self._publish(handled)

    def _fire_schedules(self, number: int) -> None:
        """A schedule comes, some are due, and the oldest goes."""
        play = self._play
        with play.datastore.begin() as batch:
            now = batch.now()
            for place in range(SCHEDULES):
                batch.add_schedule(_schedule(f"schedule{number}-{place}", now))
        for handled in fire_due(play.datastore, new_id=play.new_id, limit=100).handled:
            self._publish(handled)
        with play.datastore.begin() as batch:
            for place in range(SCHEDULES):
                [row] = batch.lock_schedule(f"schedule{number}-{place}").rows
                batch.update_schedules([replace(row, state=DELETED, due_at=None)])

    def _work(self) -> None:
        """Workers do whatever is handed out."""
        while tasks := self._play.tasks(state="SCHEDULED"):
            self._handle(*(claim_of(task) for task in tasks))
            self._play.datastore.add_log_parts([part for task in tasks for part in self._printed(task)])
            self._handle(*(report_of(task, result="a result", log_parts=2) for task in tasks))

    def _printed(self, task: TaskRow) -> list[LogPrinted]:
        return [
            LogPrinted(
                task_id=task.id,
                job_id=task.job_id,
                run_id=f"run of {task.id}",
                dispatch=1,
                number=number,
                contents="a line of the log\n" * 20,
                printed_at=self._play.now,
            )
            for number in (1, 2)
        ]

    def _deliver(self) -> None:
        """Webhooks: every second request fails once."""
        datastore = self._play.datastore
        while (claimed := datastore.claim_webhooks("n", lease_seconds=30.0, limit=20, busy=())) is not None:
            if claimed.tries == 0 and claimed.claim % 2:
                told = Settlement(tries=1, tried_at=self._play.now, status=500)
            else:
                count = len(claimed.deliveries)
                told = Settlement(
                    done_to=claimed.deliveries[-1].place, delivered=count, tried_at=self._play.now, status=200
                )
            datastore.settle_webhooks(claimed, told)

    def _people(self, number: int) -> None:
        """They sign in, are written down, and change accounts. Those that are removed stay as the makers of their jobs: none comes anew."""
        datastore = self._play.datastore
        if not self._made_accounts:
            datastore.create_user(NewUser(id="ann", username="ann", roles=["public"]))
            datastore.create_key(NewUser(id="key", username="key:ci", key_digest=b"digest"))
            self._made_accounts = True
        datastore.write_down(
            [Act(username="ann", action="job.submit", target=f"job{number}-{n}") for n in range(JOBS_A_ROUND)]
        )
        datastore.note_key_use("key")
        datastore.change_user("ann", UserChange(name=f"Ann {number}", roles=["public"] if number % 2 else []))
        datastore.create_role(f"role{number}", f"role{number}", "A role")
        datastore.delete_role(f"role{number}")

    def _remove(self) -> None:
        play = self._play
        for statement in _AGE:
            play.change(statement)
        while play.datastore.delete_old(
            jobs_seconds=self._kept_seconds,
            logs_seconds=self._kept_seconds,
            audit_seconds=self._kept_seconds,
            limit=500,
        ):
            pass
        while play.datastore.clear_schedules(limit=500).more:
            pass

    def _publish(self, handled: Handled) -> None:
        self._published += [Dispatch(task_id=task.id, dispatch=task.dispatch) for task in handled.view.sent_rows()]

    def _handle(self, *events: object) -> None:
        """Handle them, and the children that composites are to make; what was published before is confirmed."""
        while events:
            published, self._published = self._published, []
            handled = self._play.handle(*events, forget=published)  # type: ignore[arg-type]  # events of the engine
            self._publish(handled)
            events = tuple(
                ChildrenDue(task_id=due.task_id, job_id=due.job_id, root_id=due.root_id)
                for due in handled.view.unfold.values()
            )


_DEFINITION = JobDefinition(
    name="a job of the day",
    description="two tasks that hand something on",
    tags=["day"],
    inputs={"file": "a-name.txt"},
    tasks=[
        TaskDefinition(name="first", run="true", var="first", env={"FILE": "{{ inputs.file }}"}),
        TaskDefinition(name="second", run="true", env={"RESULT": "{{ tasks.first }}"}),
    ],
)
_HOOKED = JobDefinition(
    name="a job that is told of",
    tasks=[TaskDefinition(name="only", run="true")],
    webhooks=[WebhookDefinition(url="http://h/1", event="job.StateChange")],
)
_WIDE = JobDefinition(
    name="a job of many tasks",
    tasks=[
        TaskDefinition(
            name="each",
            each=Each(list="{{ sequence(0, 110) }}", task=TaskDefinition(run="true")),
        )
    ],
)
_SCHEDULED = JobDefinition(
    name="a scheduled job", tasks=[TaskDefinition(name="only", run="true")], schedule=Schedule(cron="@every 24h")
)


def _schedule(schedule_id: str, now: datetime) -> ScheduleRow:
    return ScheduleRow(
        id=schedule_id,
        definition=_SCHEDULED,
        zone="UTC",
        created_by="ann",
        created_at=now,
        next_tick_at=now,
        due_at=now,
    )


def _heartbeat(number: int, now: datetime, kind: str = "now") -> Heartbeat:
    """Of a node that works, or of one of `before`, which is not heard of again."""
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
    return Heartbeat(node=node, lease_id=f"lease of node-{number} of {kind}")
