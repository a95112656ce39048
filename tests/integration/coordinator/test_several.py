"""Several coordinators over one database and one broker: none is special, and nothing is done twice."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.builders import a_job, a_subjob, a_task, an_each
from tests.support.databases import open_datastore
from tests.support.datastore_play import DatastorePlay
from tests.support.engine_running import RunningEngine, new_id
from tests.support.fake_host import FakeHost, HostedRuntime
from tests.support.waiting import wait_until
from tork.errors import BrokerUnavailable, RuntimeFailure
from tork.job import JobState
from tork.task import Retry, TaskState
from torkd.broker.memory import MemoryBroker
from torkd.clock import utc_now
from torkd.coordinator.outbox import check_epoch
from torkd.datastore.postgres.datastore import PostgresDatastore
from torkd.worker.options import WorkerOptions
from torkd.worker.worker import Worker

pytestmark = pytest.mark.postgres

LEASE = 0.8
OPTIONS: dict[str, Any] = {"broker_is_ours": False, "heartbeat": 0.1, "lease": LEASE, "loops": 2}


class Line:
    """A worker's way to the broker that others share: cut, it is as if the worker were killed."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker
        self._consumers: list[Any] = []
        self._is_cut = False

    def cut(self) -> None:
        """Nothing passes any more; what was in hand goes back, as when a connection breaks."""
        self._is_cut = True
        for consumer in self._consumers:
            consumer.close()

    def __getattr__(self, name: str) -> Any:
        if self._is_cut:
            raise BrokerUnavailable("the line is cut")
        method = getattr(self._broker, name)
        if name not in {"consume_tasks", "consume_orders"}:
            return method

        def consume(*arguments: Any) -> Any:
            self._consumers.append(method(*arguments))
            return self._consumers[-1]

        return consume


@pytest.fixture
def broker() -> Iterator[MemoryBroker]:
    broker = MemoryBroker()
    broker.open()
    yield broker
    broker.close()


@pytest.fixture
def coordinators(datastore: PostgresDatastore, dsn: str, broker: MemoryBroker) -> Iterator[list[RunningEngine]]:
    """Two, each with connections of its own, as in processes of their own."""
    with open_datastore(dsn) as other:
        running = [
            RunningEngine(where, broker=broker, node_id=f"coordinator-{number}", **OPTIONS)
            for number, where in enumerate((datastore, other))
        ]
        yield running
        for engine in running:
            if engine.worker is not None:
                engine.worker.stop()
        for engine in running:
            engine.coordinator.stop()


@pytest.fixture
def host() -> FakeHost:
    return FakeHost()


MakeWorker = Callable[[Any, Path | None], Worker]


@pytest.fixture
def make_worker(coordinators: list[RunningEngine], host: FakeHost) -> Iterator[MakeWorker]:
    """Workers of that host, on a way to the broker. The threads of dead ones end with the test: cut off, they would never rest."""
    made: list[Worker] = []

    def make(broker: Any, runs: Path | None) -> Worker:
        options = WorkerOptions(
            node_id="worker", heartbeat_seconds=0.1, lease_seconds=LEASE, grace_seconds=1, runs_directory=runs
        )
        made.append(Worker(broker, HostedRuntime(host), options, now=utc_now, new_id=new_id, environ={}))
        return made[-1]

    yield make
    host.the_end.set()
    for worker in made:
        worker.stop()


def fails_first() -> Any:
    """What a runtime does whose tasks named `flaky` fail at the first attempt."""
    attempts: Counter[str] = Counter()
    lock = threading.Lock()

    def run(task: Any) -> str:
        name = task.definition.name
        if name.startswith("flaky"):
            with lock:
                attempts[name] += 1
                if attempts[name] == 1:
                    raise RuntimeFailure("exit code 1")
        return "done"

    return run


def test_every_task_counts_once_however_many_coordinators_look_after_it(
    coordinators: list[RunningEngine], stored: DatastorePlay
) -> None:
    first, second = coordinators
    first.runtime.behaviour = fails_first()
    first.start_worker(slots=8)

    def submit(number: int) -> str:
        retry = Retry(limit=2, initial_delay="50ms")
        job = a_job(
            a_task(f"flaky {number}", retry=retry),
            an_each("{{ sequence(0, 10) }}", a_task("child")),
            a_subjob(a_task("inner")),
            a_task("last"),
        )
        return coordinators[number % 2].submit(job)

    with ThreadPoolExecutor(4) as clients:
        job_ids = list(clients.map(submit, range(20)))
    second.wait_for_all(job_ids)
    rows = stored.rows("SELECT state, count(*) AS count FROM tasks GROUP BY state")
    # 20 flaky ones failed and came again; each, sub-job, their children and the last one count too.
    assert {row["state"]: row["count"] for row in rows} == {"FAILED": 20, "COMPLETED": 20 * (1 + 11 + 2 + 1)}
    assert stored.row("SELECT max(dispatch) AS most FROM tasks")["most"] == 1


def test_a_lost_run_is_handed_out_once_more_though_all_find_it(
    coordinators: list[RunningEngine], stored: DatastorePlay, broker: MemoryBroker, make_worker: MakeWorker
) -> None:
    line = Line(broker)
    worker = make_worker(line, None)
    worker.start()
    job_id = coordinators[0].submit(a_job(a_task("only")))
    wait_until(lambda: stored.task("only", job_id).state is TaskState.RUNNING)
    die(worker, line)
    wait_until(lambda: stored.task("only", job_id).dispatch == 2)
    coordinators[1].start_worker()
    coordinators[1].wait_for(job_id)
    task = stored.task("only", job_id)
    assert (task.dispatch, task.redelivered) == (2, 1)


def test_a_run_that_is_taken_up_is_not_handed_out_again_when_its_first_lease_ends(
    coordinators: list[RunningEngine],
    stored: DatastorePlay,
    broker: MemoryBroker,
    host: FakeHost,
    make_worker: MakeWorker,
    tmp_path: Path,
) -> None:
    line = Line(broker)
    first = make_worker(line, tmp_path)
    first.start()
    job_id = coordinators[0].submit(a_job(a_task("only")))
    wait_until(lambda: stored.task("only", job_id).state is TaskState.RUNNING)
    before = stored.task("only", job_id)
    die(first, line)
    second = make_worker(broker, tmp_path)
    claims = second.prepare()
    second.start()
    broker.publish_events(claims)
    wait_until(lambda: stored.task("only", job_id).lease_id == second.lease_id)
    wait_until(lambda: is_lost(stored, first.lease_id))
    for engine in coordinators:
        due = engine.datastore.events_due(now=utc_now(), lease_seconds=LEASE, limit=10)
        assert due == []
    host.the_container().result = "done"
    coordinators[1].wait_for(job_id)
    after = stored.task("only", job_id)
    assert (after.run_id, after.dispatch, after.redelivered) == (before.run_id, 1, 0)
    assert sum(host.begun.values()) == 1


def test_of_coordinators_that_find_a_broker_wiped_one_begins_the_new_epoch(
    datastore: PostgresDatastore, broker: MemoryBroker
) -> None:
    ready = threading.Barrier(4)

    def look(_: int) -> bool:
        ready.wait(20)
        return check_epoch(datastore, broker, new_id)

    with ThreadPoolExecutor(4) as threads:
        begun = list(threads.map(look, range(4)))
    assert begun.count(True) == 1
    assert broker.has_epoch(datastore.epoch())


def test_what_one_coordinator_left_in_the_outbox_another_sends_once(
    coordinators: list[RunningEngine], stored: DatastorePlay
) -> None:
    first, second = coordinators
    first.coordinator.stop()
    job_ids = [first.submit(a_job(a_task("only"))) for _ in range(5)]
    stored.change(
        "INSERT INTO outbox (task_id, dispatch, created_at) SELECT id, dispatch, now() - interval '1 hour' FROM tasks "
        "ON CONFLICT (task_id, dispatch) DO UPDATE SET created_at = excluded.created_at"
    )
    second.start_worker()
    second.wait_for_all(job_ids, JobState.COMPLETED)
    wait_until(lambda: stored.count("outbox") == 0)
    assert stored.row("SELECT max(dispatch) AS most FROM tasks")["most"] == 1


def die(worker: Worker, line: Line) -> None:
    """What its threads still do has no effect any more."""
    runtime: Any = worker._runtime
    runtime.die()
    worker._heart.close()
    worker._flusher.close()
    worker._reporter.abandon()
    line.cut()


def is_lost(stored: DatastorePlay, lease_id: str) -> bool:
    """Whether a run that had only this lease would be lost."""
    row = stored.row(
        "SELECT renewed_at < now() - make_interval(secs => %s) AND heartbeats_since < now() - make_interval(secs => %s) "
        "AS lost FROM leases, engine WHERE id = %s",
        LEASE,
        LEASE,
        lease_id,
    )
    return bool(row["lost"])
