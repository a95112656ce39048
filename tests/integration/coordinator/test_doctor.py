"""The doctor over a real database: each fault is told, left alone by a dry run, repaired by a repair, and then gone."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from tests.support.builders import a_job, a_parallel, a_task, an_each, claim_of, failure_of
from tests.support.datastore_play import DatastorePlay
from tests.support.engine_running import FAST_LEASE, RunningEngine, new_id
from tork.diagnosis import Diagnosis
from tork.node import Queue
from tork.task import Retry
from torkd.broker.memory import MemoryBroker
from torkd.broker.messages import RunClaimed
from torkd.broker.queues import STARTED
from torkd.clock import utc_now
from torkd.datastore.postgres.datastore import PostgresDatastore
from torkd.doctor.doctor import Doctor, DoctorOptions
from torkd.engine.events import CancelRequested

OPTIONS = DoctorOptions(lease=15, late=20, unseen=60, pause=0)
HOUR_AGO = "now() - interval '1 hour'"


class Clinic:
    """A database in which a test makes a fault, a broker, and a doctor over both."""

    def __init__(self, datastore: PostgresDatastore, play: DatastorePlay) -> None:
        self.broker = MemoryBroker()
        self.broker.open()
        self.play = play
        self.play.now = play.row(f"SELECT {HOUR_AGO} AS now")["now"]
        self.change = play.change
        self.doctor = Doctor(datastore, self.broker, OPTIONS, new_id=new_id, clock=utc_now)

    def coordinators_are_at_work(self) -> None:
        """Heartbeats were read all the time."""
        self.change(f"UPDATE engine SET heartbeats_until = now() + interval '1 minute', heartbeats_since = {HOUR_AGO}")

    def rows(self) -> list[object]:
        """Everything that a repair could change."""
        return [self.play.rows(f"SELECT * FROM {table} ORDER BY 1, 2") for table in ("jobs", "tasks", "outbox")]

    def queue(self, name: str) -> Queue:
        """A queue as the broker has it."""
        return next(queue for queue in self.broker.queues() if queue.name == name)


@pytest.fixture
def clinic(datastore: PostgresDatastore, stored: DatastorePlay) -> Clinic:
    clinic = Clinic(datastore, stored)
    clinic.coordinators_are_at_work()
    return clinic


def wrong(diagnosis: Diagnosis) -> list[str]:
    return [check.name for check in diagnosis.checks if not check.ok]


def stalled_job(clinic: Clinic) -> None:
    clinic.play.submit(a_job(a_task("a"), a_task("b")))
    clinic.change("UPDATE tasks SET state = 'COMPLETED'")
    clinic.change("DELETE FROM outbox")


def stalled_parent(clinic: Clinic) -> None:
    clinic.play.submit(a_job(a_parallel(a_task("a"), a_task("b")), a_task("next")))
    clinic.change("UPDATE tasks SET state = 'COMPLETED' WHERE kind = 'regular'")
    clinic.change("DELETE FROM outbox")


def silent_worker(clinic: Clinic) -> None:
    clinic.play.submit(a_job())
    clinic.change("DELETE FROM outbox")
    clinic.play.handle(claim_of(clinic.play.task("only")))
    clinic.change(f"INSERT INTO leases (id, node_id, renewed_at) VALUES ('lease of node-1', 'node-1', {HOUR_AGO})")


def late_retry(clinic: Clinic) -> None:
    clinic.play.submit(a_job(a_task("t", retry=Retry(limit=2, initial_delay="10s"))))
    clinic.change("DELETE FROM outbox")
    clinic.play.handle(failure_of(clinic.play.task("t")))


def old_outbox(clinic: Clinic) -> None:
    clinic.play.submit(a_job())
    clinic.change(f"UPDATE outbox SET created_at = {HOUR_AGO}")


def lost_hand_out(clinic: Clinic) -> None:
    clinic.play.submit(a_job())
    clinic.change("DELETE FROM outbox")
    clinic.broker.consume_tasks("default").close()


FAULTS: dict[str, Callable[[Clinic], None]] = {
    "jobs": stalled_job,
    "tasks": stalled_parent,
    "leases": silent_worker,
    "retries": late_retry,
    "outbox": old_outbox,
    "hand-outs": lost_hand_out,
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_told_then_repaired_then_gone(clinic: Clinic, name: str) -> None:
    FAULTS[name](clinic)
    assert wrong(clinic.doctor.examine()) == [name]
    before = clinic.rows()
    would = clinic.doctor.treat(dry_run=True)
    assert ([repair.name for repair in would.repairs], wrong(would.after)) == ([name], [name])
    assert clinic.rows() == before
    done = clinic.doctor.treat()
    assert done.repairs == would.repairs
    reader = clinic.broker.consume_tasks("default")
    delivery = reader.receive(10)
    assert delivery is not None, "what can run is at the broker"
    again = clinic.rows()
    assert clinic.doctor.treat().repairs == []
    assert clinic.rows() == again, "a second repair changes nothing"
    assert wrong(clinic.doctor.examine()) == []
    assert clinic.play.count("outbox") == 0
    reader.close()


def test_a_dead_letter_is_told_and_left_to_people(clinic: Clinic) -> None:
    reader = clinic.broker.consume_events([STARTED])
    clinic.play.submit(a_job())
    message: RunClaimed = claim_of(clinic.play.task("only"))
    clinic.change("UPDATE tasks SET state = 'CANCELLED'")
    clinic.change("UPDATE jobs SET state = 'CANCELLED'")
    clinic.change("DELETE FROM outbox")
    clinic.broker.publish_events([message])
    (delivery,) = reader.receive(1, 10)
    reader.bury(delivery, "it makes no sense")
    assert wrong(clinic.doctor.examine()) == ["dead letters"]
    treatment = clinic.doctor.treat()
    assert (treatment.repairs, wrong(treatment.after)) == ([], ["dead letters"])
    assert len(clinic.broker.dead_letters(10)) == 1


def test_a_queue_that_nobody_reads_is_told_with_the_setting_that_reads_it(clinic: Clinic) -> None:
    clinic.play.submit(a_job(a_task("a", queue="gpu")))
    clinic.change(f"UPDATE outbox SET created_at = {HOUR_AGO}")
    clinic.doctor.treat()
    (check,) = [check for check in clinic.doctor.examine().checks if not check.ok]
    assert (check.name, check.ids) == ("consumers", ["gpu"])
    assert "worker.queues = { gpu = 1 }" in check.advice


def test_what_a_cancelled_job_leaves_in_a_queue_that_nobody_reads_is_no_fault(clinic: Clinic) -> None:
    clinic.play.submit(a_job(a_task("a", queue="gpu")))
    clinic.change(f"UPDATE outbox SET created_at = {HOUR_AGO}")
    clinic.doctor.treat()
    assert wrong(clinic.doctor.examine()) == ["consumers"]
    clinic.play.handle(CancelRequested(job_id="job", root_id="job"))
    assert clinic.queue("gpu").size == 1
    assert wrong(clinic.doctor.examine()) == []


def test_jobs_without_any_coordinator_are_told(clinic: Clinic) -> None:
    clinic.play.submit(a_job())
    clinic.change(f"UPDATE engine SET heartbeats_until = {HOUR_AGO}")
    assert "coordinators" in wrong(clinic.doctor.examine())


def test_without_a_broker_repairs_wait_in_the_outbox_for_a_coordinator(
    clinic: Clinic, datastore: PostgresDatastore
) -> None:
    stalled_job(clinic)
    doctor = Doctor(datastore, None, OPTIONS, new_id=new_id, clock=utc_now)
    assert [repair.name for repair in doctor.treat().repairs] == ["jobs"]
    assert clinic.play.states() == {"a": "COMPLETED", "b": "SCHEDULED"}
    assert clinic.play.outbox() == [(clinic.play.task("b").id, 1)]


def test_a_repair_beside_a_coordinator_lets_the_job_end(engine: RunningEngine, stored: DatastorePlay) -> None:
    job_id = engine.submit(a_job(a_task("a", queue="nobody"), a_task("b")))
    stored.change("UPDATE tasks SET state = 'COMPLETED'")
    doctor = Doctor(engine.datastore, engine.broker, OPTIONS, new_id=new_id, clock=utc_now)
    assert [repair.name for repair in doctor.treat().repairs] == ["jobs"]
    engine.start_worker()
    engine.wait_for(job_id)


def test_a_busy_engine_in_good_order_shows_no_fault(datastore: PostgresDatastore) -> None:
    """With times as short as the engine's own, so that a false alarm would have every chance."""
    with RunningEngine(datastore, **FAST_LEASE) as engine:
        engine.start_worker(slots=8)
        options = DoctorOptions(lease=FAST_LEASE["lease"], late=20, unseen=20, pause=0.5)
        doctor = Doctor(datastore, engine.broker, options, new_id=new_id, clock=utc_now)
        jobs = [
            engine.submit(job)
            for _ in range(15)
            for job in (
                a_job(*(a_task(f"t{number}") for number in range(10))),
                a_job(an_each("{{ sequence(0, 300) }}", concurrency=7)),
                a_job(a_parallel(*(a_task(f"p{number}") for number in range(20)))),
            )
        ]
        alarms: list[str] = []
        looks: list[Diagnosis] = []
        done = threading.Event()

        def look() -> None:
            while not done.is_set():
                looks.append(doctor.examine())
                alarms.extend(check.message for check in looks[-1].checks if not check.ok)

        watching = threading.Thread(target=look)
        watching.start()
        try:
            engine.wait_for_all(jobs)
        finally:
            done.set()
            watching.join(30)
        assert alarms == []
        assert len(looks) > 3
