"""Schedules of running coordinators: fired in time and once, whoever lives, and ended with all that they have started."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest

from tests.support.builders import a_job, a_task
from tests.support.databases import open_datastore
from tests.support.datastore_play import DatastorePlay
from tests.support.engine_running import RunningEngine, until_stopped
from tests.support.waiting import wait_until
from tork.errors import DatastoreUnavailable, IdempotencyConflict, NotFound, StateConflict
from tork.job import JobDefinition, JobState, Schedule
from tork.schedule import ScheduleState
from torkd.broker.memory import MemoryBroker
from torkd.datastore.postgres.datastore import PostgresDatastore
from torkd.datastore.protocol import IdempotencyKey, JobQuery
from torkd.datastore.scheduling import Cleared

pytestmark = pytest.mark.postgres

SELDOM = "@every 1000h"


def a_schedule(cron: str = SELDOM, *, name: str = "again", **fields: str) -> JobDefinition:
    return a_job(a_task("only"), name=name, schedule=Schedule(cron=cron, **fields))


def add(engine: RunningEngine, cron: str = SELDOM, **fields: str) -> str:
    return engine.coordinator.schedule(a_schedule(cron, **fields), key=None).job_id


def jobs_of(engine: RunningEngine, schedule_id: str) -> list[str]:
    """The ids of its jobs, oldest first."""
    page = engine.datastore.list_jobs(JobQuery(schedule_id=schedule_id), page=1, size=100)
    return [job.id for job in reversed(page.items)]


def make_due(stored: DatastorePlay, seconds: float = 0.0) -> None:
    """Let every schedule be due since then."""
    change = (
        "UPDATE schedules SET next_tick_at = now() - make_interval(secs => %s), due_at = now() WHERE state = 'ACTIVE'"
    )
    stored.change(change, seconds)


def test_a_schedule_fires_and_its_jobs_are_done(engine: RunningEngine, stored: DatastorePlay) -> None:
    engine.start_worker()
    schedule_id = add(engine, "@every 1s")
    wait_until(lambda: len(jobs_of(engine, schedule_id)) >= 2)
    engine.coordinator.pause_schedule(schedule_id)
    engine.wait_for_all(jobs_of(engine, schedule_id))
    early = "SELECT FROM schedule_ticks t JOIN jobs j ON j.id = t.job_id WHERE j.created_at < t.tick"
    assert stored.rows(early) == []
    first, second, *_ = [row["tick"] for row in stored.rows("SELECT tick FROM schedule_ticks ORDER BY tick")]
    assert second - first == timedelta(seconds=1)


def test_a_schedule_is_added_once_for_a_key(engine: RunningEngine) -> None:
    key = IdempotencyKey(owner="ann", key="k", body=b"one")
    first = engine.coordinator.schedule(a_schedule(), key=key)
    again = engine.coordinator.schedule(a_schedule(), key=key)
    assert (again.job_id, first.repeated, again.repeated) == (first.job_id, False, True)
    with pytest.raises(IdempotencyConflict):
        engine.coordinator.schedule(a_schedule(), key=IdempotencyKey(owner="ann", key="k", body=b"two"))
    assert engine.datastore.list_schedules(page=1, size=10).total_items == 1


def test_what_is_paused_does_not_fire_and_goes_on_with_its_next_tick(
    engine: RunningEngine, stored: DatastorePlay
) -> None:
    schedule_id = add(engine)
    engine.coordinator.pause_schedule(schedule_id)
    with pytest.raises(StateConflict, match=r"^scheduled job is not active$"):
        engine.coordinator.pause_schedule(schedule_id)
    assert engine.datastore.get_schedule(schedule_id).state is ScheduleState.PAUSED
    stored.change("UPDATE schedules SET next_tick_at = now() - interval '1 second'")
    engine.coordinator.resume_schedule(schedule_id)
    with pytest.raises(StateConflict, match=r"^scheduled job is not paused$"):
        engine.coordinator.resume_schedule(schedule_id)
    told = engine.datastore.get_schedule(schedule_id)
    assert told.next_at is not None
    assert told.next_at > told.created_at + timedelta(hours=999)
    assert jobs_of(engine, schedule_id) == []


def test_what_is_resumed_makes_up_for_what_it_missed_if_it_is_to(engine: RunningEngine, stored: DatastorePlay) -> None:
    schedule_id = add(engine, catchup="one")
    engine.coordinator.pause_schedule(schedule_id)
    stored.change("UPDATE schedules SET next_tick_at = now() - interval '1 hour'")
    engine.coordinator.resume_schedule(schedule_id)
    wait_until(lambda: len(jobs_of(engine, schedule_id)) == 1)


def test_a_paused_one_can_be_started_by_hand_and_its_ticks_stay(engine: RunningEngine) -> None:
    engine.start_worker()
    schedule_id = add(engine)
    before = engine.datastore.get_schedule(schedule_id)
    by_hand = [engine.coordinator.run_schedule(schedule_id).job_id]
    engine.coordinator.pause_schedule(schedule_id)
    by_hand.append(engine.coordinator.run_schedule(schedule_id).job_id)
    engine.wait_for_all(by_hand)
    assert jobs_of(engine, schedule_id) == by_hand
    reference = engine.datastore.get_summary(by_hand[0]).schedule
    assert reference is not None
    assert (reference.id, reference.cron) == (schedule_id, SELDOM)
    engine.coordinator.resume_schedule(schedule_id)
    after = engine.datastore.get_schedule(schedule_id)
    assert (after.next_at, before.last_at) == (before.next_at, None)
    assert after.last_at is not None


def test_by_hand_jobs_overlap_no_more_than_the_schedule_says(engine: RunningEngine) -> None:
    skipping, replacing = add(engine, overlap="skip"), add(engine, overlap="replace")
    first = [engine.coordinator.run_schedule(schedule_id).job_id for schedule_id in (skipping, replacing)]
    with pytest.raises(StateConflict, match=f"job {first[0]} of the scheduled job is active"):
        engine.coordinator.run_schedule(skipping)
    second = engine.coordinator.run_schedule(replacing).job_id
    assert [engine.state(job_id) for job_id in (*first, second)] == [
        JobState.SCHEDULED,
        JobState.CANCELLED,
        JobState.SCHEDULED,
    ]


@pytest.mark.parametrize("what", ["pause_schedule", "resume_schedule", "delete_schedule", "run_schedule"])
def test_a_schedule_that_is_not_there_is_not_found(engine: RunningEngine, what: str) -> None:
    with pytest.raises(NotFound, match=r"^scheduled job not found$"):
        getattr(engine.coordinator, what)("nope")


def test_a_schedule_is_deleted_with_its_jobs_and_workers_stop(engine: RunningEngine, stored: DatastorePlay) -> None:
    running, stopped = threading.Event(), threading.Event()

    def run(task: object) -> str:
        try:
            return until_stopped(lambda _: running.set())(task)
        finally:
            stopped.set()

    engine.runtime.behaviour = run
    engine.start_worker()
    schedule_id, other = add(engine), add(engine)
    active = engine.coordinator.run_schedule(schedule_id).job_id
    assert running.wait(30)
    engine.coordinator.delete_schedule(schedule_id)
    with pytest.raises(NotFound):
        engine.datastore.get_schedule(schedule_id)
    assert [item.id for item in engine.datastore.list_schedules(page=1, size=10).items] == [other]
    assert stopped.wait(30)
    wait_until(lambda: jobs_of(engine, schedule_id) == [])
    with pytest.raises(NotFound):
        engine.state(active)
    with pytest.raises(NotFound):
        engine.coordinator.delete_schedule(schedule_id)


def test_a_schedule_that_was_deleted_is_answered_so_though_the_database_goes_away_right_then(
    engine: RunningEngine, stored: DatastorePlay, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule_id = add(engine)
    job_id = engine.coordinator.run_schedule(schedule_id).job_id
    clear, failures = engine.datastore.clear_schedules, [DatastoreUnavailable("away")]

    def unsteady(*, limit: int) -> Cleared:
        if failures:
            raise failures.pop()
        return clear(limit=limit)

    monkeypatch.setattr(engine.datastore, "clear_schedules", unsteady)
    engine.coordinator.delete_schedule(schedule_id)
    assert not failures
    wait_until(lambda: stored.rows("SELECT FROM jobs WHERE id = %s", job_id) == [])


def test_jobs_of_a_schedule_are_cleared_away_though_whoever_deleted_it_has_died(
    datastore: PostgresDatastore, stored: DatastorePlay
) -> None:
    with RunningEngine(datastore) as first:
        schedule_id = add(first)
        job_id = first.coordinator.run_schedule(schedule_id).job_id
        first.crash()
    stored.change("UPDATE schedules SET state = 'DELETED', due_at = NULL WHERE id = %s", schedule_id)
    with RunningEngine(datastore):
        wait_until(lambda: stored.rows("SELECT FROM jobs WHERE id = %s", job_id) == [])


def test_replacing_ends_the_run_of_the_job_before(engine: RunningEngine, stored: DatastorePlay) -> None:
    running = threading.Event()
    engine.runtime.behaviour = until_stopped(lambda _: running.set())
    engine.start_worker()
    schedule_id = add(engine, overlap="replace")
    first = engine.coordinator.run_schedule(schedule_id).job_id
    assert running.wait(30)
    make_due(stored)
    add(engine)  # which makes it look
    wait_until(lambda: engine.state(first) is JobState.CANCELLED)
    assert len(jobs_of(engine, schedule_id)) == 2
    wait_until(lambda: engine.worker is not None and engine.worker.running_count == 1)


@pytest.mark.parametrize(("catchup", "count"), [("none", 0), ("one", 1), ("all", 3)])
def test_after_an_outage_of_all_coordinators_the_policy_counts(
    datastore: PostgresDatastore, stored: DatastorePlay, catchup: str, count: int
) -> None:
    with RunningEngine(datastore) as engine:
        schedule_id = add(engine, "@every 1h", catchup=catchup)
        engine.crash()
    # As if that had been some hours ago.
    change = "UPDATE schedules SET {0} = {0} - interval '3 hours 30 minutes'"
    for column in ("created_at", "next_tick_at", "due_at"):
        stored.change(change.format(column))
    with RunningEngine(datastore) as engine:
        wait_until(lambda: (stored.datastore.seconds_to_next_tick() or -1) > 0)
        assert len(jobs_of(engine, schedule_id)) == count


@pytest.fixture
def coordinators(datastore: PostgresDatastore, dsn: str) -> Iterator[list[RunningEngine]]:
    """Three, each with connections of its own, as in processes of their own."""
    broker = MemoryBroker()
    broker.open()
    with open_datastore(dsn) as second, open_datastore(dsn) as third:
        running = [
            RunningEngine(where, broker=broker, node_id=f"coordinator-{number}", broker_is_ours=False)
            for number, where in enumerate((datastore, second, third))
        ]
        yield running
        for engine in running:
            engine.coordinator.stop()
    broker.close()


def test_of_several_coordinators_one_fires_each_tick_and_when_it_dies_the_others_go_on(
    coordinators: list[RunningEngine], stored: DatastorePlay
) -> None:
    first, *others = coordinators
    schedules = [add(first, "@every 1s", catchup="all") for _ in range(10)]

    def ticks() -> int:
        return stored.count("schedule_ticks")

    wait_until(lambda: ticks() >= 20)
    first.coordinator.stop()
    seen = ticks()
    wait_until(lambda: ticks() >= seen + 20)
    for schedule_id in schedules:
        others[0].coordinator.pause_schedule(schedule_id)
    made = stored.rows("SELECT schedule_id, count(*) AS jobs FROM jobs GROUP BY 1 ORDER BY 1")
    assert made == stored.rows("SELECT schedule_id, count(*) AS jobs FROM schedule_ticks GROUP BY 1 ORDER BY 1")
    # No tick is missing between the first and the last.
    gaps = stored.rows(
        "SELECT schedule_id FROM schedule_ticks GROUP BY 1"
        " HAVING count(*) <> extract(epoch FROM max(tick) - min(tick)) + 1"
    )
    assert gaps == []
