"""What goes wrong around the engine: crashes, servers that go away, workers that die. No job may hang or run twice."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import threading
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support.builders import a_job, a_parallel, a_subjob, a_task, an_each, claim_of, report_of
from tests.support.databases import open_datastore
from tests.support.datastore_play import DatastorePlay
from tests.support.engine_running import FAST_LEASE, RunningEngine, until_stopped
from tests.support.postgres import room
from tests.support.waiting import wait_until
from tork.errors import BrokerUnavailable, DatastoreUnavailable
from tork.job import JobState
from tork.task import Retry
from torkd.broker.memory import MemoryBroker
from torkd.broker.messages import RunTask
from torkd.coordinator import outbox
from torkd.coordinator.loop import BatchLoop
from torkd.datastore.embedded import EmbeddedServer, start_embedded
from torkd.datastore.postgres.datastore import PostgresDatastore
from torkd.datastore.postgres.migrations import migrate
from torkd.datastore.protocol import Dispatch

pytestmark = pytest.mark.postgres


def results_by_run(stored: DatastorePlay) -> Counter[tuple[str, int]]:
    """How many tasks of each job and position have a result: retries aside, one."""
    rows = stored.rows("SELECT job_id, position FROM tasks WHERE state = 'COMPLETED' AND parent_id IS NULL")
    return Counter((row["job_id"], row["position"]) for row in rows)


def test_everything_unfinished_is_found_again_after_a_crash(
    datastore: PostgresDatastore, stored: DatastorePlay
) -> None:
    retry = Retry(limit=1, initial_delay="1s")
    definitions = [
        a_job(a_task("a"), a_task("b")),
        a_job(a_task("fails", retry=retry), a_task("b")),
        a_job(a_parallel(a_task("p1"), a_task("p2"))),
        a_job(an_each("{{ sequence(0, 350) }}", concurrency=3)),
        a_job(a_subjob(a_task("inner"))),
    ]
    first = RunningEngine(datastore)
    blocked = threading.Event()
    endless = until_stopped(lambda _: blocked.set())

    def run(task: Any) -> str:
        if task.definition.name == "fails":
            raise ZeroDivisionError
        return endless(task)

    first.runtime.behaviour = run
    first.start_worker(slots=6)
    job_ids = [first.submit(definition) for definition in definitions]
    wait_until(lambda: first.runtime.active_count == 6 and stored.tasks(name="fails", state="FAILED"))
    wait_until(lambda: len(stored.tasks(state="RUNNING")) >= 6)
    first.crash()
    assert {first.state(job_id).is_active for job_id in job_ids} == {True}

    with RunningEngine(datastore, lease=1000.0) as second:  # nobody waits for leases of a broker that is gone
        second.start_worker(slots=8)
        second.wait_for_all(job_ids)
    assert set(results_by_run(stored).values()) == {1}
    assert stored.row("SELECT max(redelivered) AS most FROM tasks")["most"] == 1


def test_a_task_whose_worker_falls_silent_is_handed_out_again(
    datastore: PostgresDatastore, stored: DatastorePlay
) -> None:
    with RunningEngine(datastore, **FAST_LEASE) as engine:
        job_id = engine.submit(a_job())
        task = stored.task("only", job_id)
        engine.broker.publish_events([claim_of(task, node_id="dead")])
        wait_until(lambda: stored.task("only", job_id).dispatch == 2)
        engine.broker.publish_events([report_of(task, node_id="dead", result="late")])
        engine.start_worker()
        engine.wait_for(job_id)
    done = stored.task("only", job_id)
    assert (done.redelivered, done.result) == (1, "")


def test_a_worker_that_lives_keeps_its_task_beyond_a_lease(datastore: PostgresDatastore, stored: DatastorePlay) -> None:
    with RunningEngine(datastore, **FAST_LEASE) as engine:
        engine.runtime.behaviour = lambda run: str(run.stop.wait(4 * FAST_LEASE["lease"]) or "")
        engine.start_worker()
        job_id = engine.submit(a_job())
        engine.wait_for(job_id)
    assert stored.task("only", job_id).dispatch == 1


class FailingBroker(MemoryBroker):
    """Refuses to publish tasks while `down` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.down = False
        self.refused = 0

    def publish_tasks(self, tasks: Sequence[RunTask]) -> None:
        if self.down:
            self.refused += 1
            raise BrokerUnavailable("the broker is down")
        super().publish_tasks(tasks)


def test_what_could_not_be_published_after_the_commit_is_sent_later(
    datastore: PostgresDatastore, stored: DatastorePlay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "LEFT_OVER_SECONDS", 0.0)
    broker = FailingBroker()
    with RunningEngine(datastore, broker=broker) as engine:
        broker.down = True
        job_id = engine.submit(a_job(a_task("a"), a_task("b")))
        assert broker.refused == 1
        assert stored.outbox() == [(stored.task("a", job_id).id, 1)]
        broker.down = False
        engine.start_worker()
        engine.wait_for(job_id)
        wait_until(lambda: stored.outbox() == [])


def test_events_are_acknowledged_though_messages_could_not_be_built_after_the_commit(
    datastore: PostgresDatastore, stored: DatastorePlay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hand-outs stay in the outbox, and the reports must not stay in hand."""
    monkeypatch.setattr(outbox, "LEFT_OVER_SECONDS", 0.0)
    build = datastore.bodies
    down = True

    def bodies(dispatches: Collection[Dispatch]) -> list[RunTask]:
        if down:
            raise DatastoreUnavailable("the database went away just now")
        return build(dispatches)

    monkeypatch.setattr(datastore, "bodies", bodies)
    with RunningEngine(datastore) as engine:
        engine.start_worker()
        job_id = engine.submit(a_job(a_task("a"), a_task("b"), secrets={"s": "hidden"}))
        wait_until(lambda: stored.states(job_id).get("b") == "SCHEDULED" or not engine.state(job_id).is_active)
        down = False
        engine.wait_for(job_id)
        wait_until(lambda: {queue.unacked for queue in engine.broker.queues()} == {0})
        wait_until(lambda: stored.outbox() == [])


def test_a_purged_queue_costs_no_job(
    datastore: PostgresDatastore, stored: DatastorePlay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "APART", outbox.APART * 0)
    monkeypatch.setattr("torkd.coordinator.due.QUEUES_EVERY", 0.0)
    with RunningEngine(datastore) as engine:
        job_ids = [engine.submit(a_job()) for _ in range(5)]
        engine.broker.purge("default")
        engine.start_worker()
        engine.wait_for_all(job_ids)
    assert {task.dispatch for task in stored.tasks()} == {1}


def test_a_job_that_is_locked_for_long_stalls_no_other_and_loses_nothing(
    datastore: PostgresDatastore, other_session: psycopg.Connection[Any]
) -> None:
    with RunningEngine(datastore) as engine:
        busy = engine.submit(a_job(a_task("a"), a_parallel(a_task("p"), a_task("q"))))
        other_session.execute("SELECT 1 FROM jobs WHERE id = %s FOR UPDATE", [busy])
        engine.start_worker()
        engine.wait_for_all([engine.submit(a_job(a_task("a"), a_task("b"))) for _ in range(20)])
        assert engine.state(busy) is JobState.SCHEDULED
        other_session.rollback()
        engine.wait_for(busy)


@pytest.fixture
def durable_server() -> Iterator[EmbeddedServer]:
    """A server whose commits survive its death."""
    base = Path(tempfile.mkdtemp(prefix="torkd-durable-", dir=room()))
    base.chmod(0o711)
    server = start_embedded(base, settings={"fsync": "off"})
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(base, ignore_errors=True)


def kill_postgres(server: EmbeddedServer) -> None:
    pid_file = server.base / "postgres" / "data" / "postmaster.pid"
    os.kill(int(pid_file.read_text().split()[0]), signal.SIGKILL)


def test_postgres_killed_in_the_middle_costs_no_job_and_no_result_counts_twice(
    durable_server: EmbeddedServer,
) -> None:
    migrate(durable_server.dsn)
    with open_datastore(durable_server.dsn) as datastore:
        engine = RunningEngine(datastore)
        engine.start_worker(slots=4)
        engine.runtime.behaviour = lambda run: str(run.stop.wait(0.01) or "")
        job_ids = [engine.submit(a_job(a_task("a"), a_task("b"))) for _ in range(80)]
        for share in (20, 90):
            wait_until(partial(has_begun, engine, share))
            wait_until(partial(answers, durable_server.dsn))
            kill_postgres(durable_server)
        for job_id in job_ids:
            wait_until(partial(is_completed, engine, job_id), timeout=60)
        engine.stop()
        with DatastorePlay(datastore, durable_server.dsn) as stored:
            assert set(results_by_run(stored).values()) == {1}
            assert stored.count("tasks") == 160


def answers(dsn: str) -> bool:
    try:
        with psycopg.connect(dsn):
            return True
    except psycopg.OperationalError:
        return False


def has_begun(engine: RunningEngine, runs: int) -> bool:
    return len(engine.runtime.runs) >= runs


def is_completed(engine: RunningEngine, job_id: str) -> bool:
    try:
        return engine.state(job_id) is JobState.COMPLETED
    except DatastoreUnavailable:
        return False


def test_stopping_ends_though_the_database_is_gone(durable_server: EmbeddedServer) -> None:
    migrate(durable_server.dsn)
    with open_datastore(durable_server.dsn, wait=0.5) as datastore:
        engine = RunningEngine(datastore)
        engine.start_worker()
        engine.submit(a_job())
        durable_server.stop()
        stopped = threading.Thread(target=engine.stop, daemon=True)
        stopped.start()
        stopped.join(timeout=60)
        assert not stopped.is_alive()


def test_what_was_reported_before_an_orderly_end_is_handled(
    datastore: PostgresDatastore, stored: DatastorePlay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BatchLoop, "run", lambda _: None)  # the end comes before their turn
    engine = RunningEngine(datastore)
    job_ids = [engine.submit(a_job()) for _ in range(50)]
    engine.broker.publish_events([report_of(task) for task in stored.tasks()])
    engine.stop()
    assert {engine.state(job_id) for job_id in job_ids} == {JobState.COMPLETED}
