"""A worker dies or restarts while its run goes on: the same run is taken up, the task does not run twice, no line is lost."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.support.builders import a_job, a_task
from tests.support.datastore_play import DatastorePlay
from tests.support.engine_running import RunningEngine, new_id
from tests.support.fake_host import FakeHost, HostedRuntime
from tests.support.waiting import wait_until
from tork.job import JobState
from tork.task import TaskState
from torkd.broker.memory import MemoryBroker
from torkd.clock import utc_now
from torkd.coordinator.coordinator import Coordinator
from torkd.coordinator.options import CoordinatorOptions
from torkd.datastore.postgres.datastore import PostgresDatastore
from torkd.worker.options import WorkerOptions
from torkd.worker.worker import Worker

pytestmark = pytest.mark.postgres


class Life:
    """One life of a standalone daemon: what is in memory dies with it."""

    def __init__(self, datastore: PostgresDatastore, host: FakeHost, runs: Path, *, slots: int, lease: float) -> None:
        self.datastore = datastore
        self.runtime = HostedRuntime(host)
        self.broker = MemoryBroker()
        self.broker.open()
        options = CoordinatorOptions(node_id="coordinator", broker_is_ours=True, lease=lease, heartbeat=0.05)
        self.coordinator = Coordinator(datastore, self.broker, options, new_id=new_id)
        self.worker = Worker(
            self.broker,
            self.runtime,
            WorkerOptions(
                node_id="worker",
                queues={"default": slots},
                heartbeat_seconds=0.05,
                lease_seconds=lease,
                grace_seconds=1,
                runs_directory=runs,
            ),
            now=utc_now,
            new_id=new_id,
            environ={},
        )
        self.coordinator.start(self.worker.prepare())
        self.worker.start()

    def submit(self) -> str:
        return self.coordinator.submit(a_job(a_task("only")), key=None).job_id

    def kill(self) -> None:
        """What its threads still do has no effect any more."""
        self.runtime.die()
        self.worker._flusher.close()
        self.broker.close()
        self.coordinator.stop()

    def leave(self) -> None:
        """A restart without drain time."""
        self.worker.drain(0.0, leave=True)
        self.coordinator.stop()
        self.broker.close()


Start = Callable[..., Life]


@pytest.fixture
def host() -> FakeHost:
    return FakeHost()


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def start(datastore: PostgresDatastore, host: FakeHost, runs: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    monkeypatch.setattr("torkd.worker.worker._LAST_REPORT_SECONDS", 0.1)  # the dead are not waited for
    lives: list[Life] = []

    def begin(*, slots: int = 2, lease: float = 1000.0) -> Life:
        life = Life(datastore, host, runs, slots=slots, lease=lease)
        lives.append(life)
        return life

    yield begin
    host.the_end.set()
    for life in lives:
        life.worker.stop()
        life.coordinator.stop()
        life.broker.close()


def ended(life: Life, job_id: str) -> bool:
    return not life.datastore.get_summary(job_id).state.is_active


def log_of(stored: DatastorePlay, job_id: str) -> str:
    rows = stored.rows("SELECT contents FROM task_log_parts WHERE job_id = %s ORDER BY number", job_id)
    return "".join(row["contents"] for row in rows)


def lines(first: int, last: int) -> bytes:
    return b"".join(b"line %d\n" % number for number in range(first, last))


def has_line(stored: DatastorePlay, job_id: str, number: int) -> bool:
    return f"line {number}\n" in log_of(stored, job_id)


def is_running(stored: DatastorePlay, job_id: str) -> bool:
    return stored.task("only", job_id).state is TaskState.RUNNING


@pytest.mark.parametrize("end", ["kill", "leave"])
def test_a_run_goes_on_after_its_worker(
    start: Start, stored: DatastorePlay, host: FakeHost, runs: Path, end: str
) -> None:
    first = start()
    job_id = first.submit()
    wait_until(lambda: host.containers and is_running(stored, job_id))
    before = stored.task("only", job_id)
    container = host.the_container()
    container.printed += lines(0, 500) + b"half a "
    wait_until(lambda: "line 20" in log_of(stored, job_id))
    getattr(first, end)()
    container.printed += b"line\n" + lines(500, 600)
    second = start()
    wait_until(lambda: second.runtime.resumed)
    container.printed += lines(600, 700)
    container.result = "done"
    wait_until(lambda: ended(second, job_id))
    after = stored.task("only", job_id)
    assert (after.state, after.result) == (TaskState.COMPLETED, "done")
    assert (after.dispatch, after.redelivered, after.run_id) == (1, 0, before.run_id)
    assert after.lease_id == second.worker.lease_id
    assert host.begun == {after.id: 1}
    wait_until(lambda: second.datastore.log_state(job_id=job_id).complete)
    expected = lines(0, 500) + b"half a line\n" + lines(500, 700)
    assert log_of(stored, job_id) == expected.decode()
    wait_until(lambda: list(runs.iterdir()) == [])


def test_a_run_that_was_not_claimed_yet_is_taken_up_and_not_handed_out_again(
    start: Start, stored: DatastorePlay, host: FakeHost
) -> None:
    first = start()
    first.coordinator.stop()  # nobody reads the claim; a command needs no thread
    job_id = first.submit()
    wait_until(lambda: host.containers)
    first.kill()
    assert stored.task("only", job_id).state is TaskState.SCHEDULED
    second = start()
    assert stored.task("only", job_id).state is TaskState.RUNNING
    host.the_container().result = "done"
    wait_until(lambda: ended(second, job_id))
    assert sum(host.begun.values()) == 1


@pytest.mark.parametrize("moment", ["dies_before_removal", "dies_after_removal"])
def test_a_run_that_has_ended_is_only_reported(
    start: Start, stored: DatastorePlay, host: FakeHost, moment: str
) -> None:
    first = start()
    setattr(first.runtime, moment, True)
    job_id = first.submit()
    wait_until(lambda: host.containers)
    container = host.the_container()
    container.printed = lines(0, 50) + b"no end of line"
    container.result = "done"
    wait_until(lambda: first.runtime.is_dead)
    first.kill()
    second = start()
    wait_until(lambda: ended(second, job_id))
    task = stored.task("only", job_id)
    assert (task.state, task.result, task.redelivered, sum(host.begun.values())) == (TaskState.COMPLETED, "done", 0, 1)
    assert second.runtime.resumed == []
    wait_until(lambda: second.datastore.log_state(job_id=job_id).complete)
    assert log_of(stored, job_id) == lines(0, 50).decode() + "no end of line"


def test_a_run_whose_container_is_gone_is_handed_out_again_at_once(
    start: Start, stored: DatastorePlay, host: FakeHost, runs: Path
) -> None:
    first = start()
    job_id = first.submit()
    wait_until(lambda: host.containers and is_running(stored, job_id))
    first.kill()
    host.containers.clear()
    second = start()
    wait_until(lambda: host.containers)
    host.the_container().result = "done"
    wait_until(lambda: ended(second, job_id))
    task = stored.task("only", job_id)
    assert (task.result, task.redelivered, task.dispatch) == ("done", 1, 2)
    wait_until(lambda: list(runs.iterdir()) == [])


def test_an_engine_that_does_not_answer_holds_up_the_start_for_half_a_lease_at_most(
    start: Start, stored: DatastorePlay, host: FakeHost
) -> None:
    first = start()
    job_id = first.submit()
    wait_until(lambda: host.containers and is_running(stored, job_id))
    first.kill()
    host.is_silent = True
    start(lease=1.0)
    wait_until(lambda: stored.task("only", job_id).dispatch == 2)


def test_a_job_cancelled_meanwhile_ends_its_run(
    start: Start, stored: DatastorePlay, host: FakeHost, runs: Path
) -> None:
    first = start()
    job_id = first.submit()
    wait_until(lambda: host.containers and is_running(stored, job_id))
    container = host.the_container()
    first.kill()
    between = RunningEngine(first.datastore, broker_is_ours=False)
    between.coordinator.cancel(job_id)
    between.stop()
    start()
    wait_until(lambda: container.stopped)
    wait_until(lambda: list(runs.iterdir()) == [])
    assert stored.row("SELECT state FROM jobs")["state"] == JobState.CANCELLED


def test_more_runs_than_slots_are_all_taken_up_before_new_tasks(
    start: Start, stored: DatastorePlay, host: FakeHost
) -> None:
    first = start(slots=3)
    job_ids = [first.submit() for _ in range(3)]
    wait_until(lambda: len(host.containers) == 3 and all(is_running(stored, job_id) for job_id in job_ids))
    first.kill()
    second = start(slots=1)
    late = second.submit()
    wait_until(lambda: len(second.runtime.resumed) == 3)
    assert len(host.containers) == 3
    for container in list(host.containers.values()):
        container.result = "done"
    wait_until(lambda: all(ended(second, job_id) for job_id in job_ids))
    wait_until(lambda: host.containers)
    host.the_container().result = "done"
    wait_until(lambda: ended(second, late))
    assert set(host.begun.values()) == {1}


def test_a_runtime_that_can_not_leave_a_run_hands_it_back(start: Start, stored: DatastorePlay, host: FakeHost) -> None:
    first = start()
    first.runtime.can_leave = False
    job_id = first.submit()
    wait_until(lambda: host.containers and is_running(stored, job_id))
    first.leave()
    task = stored.task("only", job_id)
    assert (task.state, task.dispatch, task.redelivered) == (TaskState.SCHEDULED, 2, 0)
    second = start()
    wait_until(lambda: host.containers)
    host.the_container().result = "done"
    wait_until(lambda: ended(second, job_id))


def test_a_drain_without_leaving_hands_back_what_could_be_left(
    start: Start, stored: DatastorePlay, host: FakeHost
) -> None:
    first = start()
    job_id = first.submit()
    wait_until(lambda: host.containers and is_running(stored, job_id))
    first.worker.drain(0.0)
    first.coordinator.stop()
    assert stored.task("only", job_id).state is TaskState.SCHEDULED
    assert host.containers == {}


def test_a_run_is_taken_up_again_and_again(start: Start, stored: DatastorePlay, host: FakeHost) -> None:
    life = start()
    job_id = life.submit()
    wait_until(lambda: host.containers and is_running(stored, job_id))
    container = host.the_container()
    for number in range(4):
        container.printed += lines(number * 100, (number + 1) * 100)
        wait_until(partial(has_line, stored, job_id, number * 100 + 3))
        (life.kill if number % 2 else life.leave)()
        life = start()
    container.result = "done"
    wait_until(lambda: ended(life, job_id))
    wait_until(lambda: life.datastore.log_state(job_id=job_id).complete)
    assert log_of(stored, job_id) == lines(0, 400).decode()
    assert sum(host.begun.values()) == 1


def test_many_runs_survive_restarts_at_any_moment(
    start: Start, stored: DatastorePlay, host: FakeHost, runs: Path
) -> None:
    chance = random.Random(3)
    life = start(slots=8)
    job_ids = [life.submit() for _ in range(24)]
    for number in range(6):
        wait_until(partial(bool, host.containers))
        for _ in range(chance.randint(1, 30)):
            for container in [one for one in list(host.containers.values()) if one.result is None]:
                container.printed += b"x" * chance.randint(0, 30) + b"\n"
                if chance.random() < 0.02:
                    container.result = container.printed.decode()
        (life.kill if number % 2 else life.leave)()
        life = start(slots=chance.choice([2, 8]))
    host.ends_at_once = True
    for container in [one for one in list(host.containers.values()) if one.result is None]:
        container.result = container.printed.decode()
    wait_until(lambda: all(ended(life, job_id) for job_id in job_ids), timeout=60)
    tasks = stored.tasks()
    # A worker may have got a task, and even have claimed it, and have died or left before it began: handing it out again
    # begins nothing twice.
    assert {task.state for task in tasks} == {TaskState.COMPLETED}
    assert set(host.begun.values()) == {1}
    wait_until(lambda: all(life.datastore.log_state(job_id=job_id).complete for job_id in job_ids))
    for task in tasks:
        assert log_of(stored, task.job_id) == task.result
    wait_until(lambda: list(runs.iterdir()) == [])
