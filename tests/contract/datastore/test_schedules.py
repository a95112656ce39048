"""Schedules in the database: a tick is one transaction, and fires once, whoever looks."""

from __future__ import annotations

import threading
from datetime import timedelta
from operator import itemgetter
from typing import Any

import psycopg
import pytest

from tests.support.builders import a_job, a_task
from tests.support.datastore_play import DatastorePlay
from tork.errors import NotFound
from tork.job import Defaults, JobDefinition, Schedule
from tork.task import AutoDelete, Limits
from torkd.coordinator import ticks
from torkd.coordinator.ticks import SET_BACK_SECONDS, Fired, fire_due
from torkd.datastore.protocol import IdempotencyKey
from torkd.datastore.scheduling import ACTIVE, DELETED, PAUSED, ScheduleRow
from torkd.engine.events import CancelRequested, JobSubmitted

DAILY = Schedule(cron="@every 24h")
# so far between that no test meets the next tick


class Scheduler:
    """Adds schedules, moves their time, and fires what is due."""

    def __init__(self, play: DatastorePlay) -> None:
        self.play = play
        self.datastore = play.datastore

    def add(
        self,
        name: str = "nightly",
        *,
        due_for: float = 0.0,
        state: str = ACTIVE,
        viewers: tuple[str, ...] | None = None,
        **fields: Any,
    ) -> str:
        """A schedule that is due since so many seconds; its id is its name."""
        definition = a_job(*fields.pop("tasks", ()), name=name, **{"schedule": DAILY} | fields)
        with self.datastore.begin() as batch:
            due = batch.now() - timedelta(seconds=due_for)
            batch.add_schedule(
                ScheduleRow(
                    id=name,
                    definition=definition,
                    state=state,
                    zone="UTC",
                    created_by="0" * 32,
                    viewers=viewers,
                    created_at=due,
                    next_tick_at=due,
                    due_at=due if state == ACTIVE else None,
                )
            )
        return name

    def fire(self, **options: Any) -> Fired:
        """Look once."""
        return fire_due(self.datastore, new_id=self.play.new_id, **{"limit": 100} | options)

    def row(self, name: str = "nightly") -> dict[str, Any]:
        return self.play.row("SELECT * FROM schedules WHERE id = %s", name)

    def jobs(self, name: str = "nightly") -> list[dict[str, Any]]:
        return self.play.rows("SELECT * FROM jobs WHERE schedule_id = %s ORDER BY id", name)


@pytest.fixture
def scheduler(play: DatastorePlay) -> Scheduler:
    return Scheduler(play)


def test_a_tick_makes_a_job_with_everything_that_it_was_given(scheduler: Scheduler, play: DatastorePlay) -> None:
    scheduler.add(
        description="every night",
        tags=["etl"],
        inputs={"size": "5"},
        secrets={"token": "hush-hush"},
        output="{{ inputs.size }}",
        defaults=Defaults(timeout="5m", limits=Limits(cpus="2")),
        auto_delete=AutoDelete(after="1h"),
        tasks=[a_task("one", env={"TOKEN": "{{ secrets.token }}", "JOB": "{{ job.name }}"})],
    )
    scheduler.fire()
    (row,) = scheduler.jobs()
    job = scheduler.datastore.get_job(row["id"])
    assert (job.name, job.description, job.tags, job.output) == ("nightly", "every night", ["etl"], "{{ inputs.size }}")
    assert (job.inputs, job.secrets) == ({"size": "5"}, {"token": "hush-hush"})
    assert job.defaults == Defaults(timeout="5m", limits=Limits(cpus="2"))
    assert job.auto_delete == AutoDelete(after="1h")
    assert job.created_by is not None
    assert job.created_by.username == "guest"
    assert job.schedule is not None
    assert (job.schedule.id, job.schedule.cron) == ("nightly", "@every 24h")
    (task,) = job.execution
    assert (task.env, task.timeout) == ({"TOKEN": "hush-hush", "JOB": "nightly"}, "5m")
    assert play.outbox() == [(task.id, 1)]


def test_a_job_is_of_whoever_its_schedule_is_and_seen_by_the_same(scheduler: Scheduler) -> None:
    scheduler.add("open")
    scheduler.add("restricted", viewers=("crew", "ann"))
    scheduler.fire()
    assert [scheduler.jobs(name)[0]["viewers"] for name in ("open", "restricted")] == [None, ["crew", "ann"]]


def test_a_tick_moves_its_schedule_on_and_is_written_down(scheduler: Scheduler, play: DatastorePlay) -> None:
    scheduler.add()
    due = scheduler.row()["next_tick_at"]
    scheduler.fire()
    row = scheduler.row()
    (job,) = scheduler.jobs()
    assert row["next_tick_at"] == row["due_at"]
    assert row["next_tick_at"] - due.replace(microsecond=0) == timedelta(days=1)
    assert row["last_at"] == job["created_at"] >= due
    tick = play.row("SELECT * FROM schedule_ticks")
    assert (tick["schedule_id"], tick["tick"], tick["job_id"]) == ("nightly", due, job["id"])
    assert scheduler.fire().looked_at == []


def test_what_is_not_due_or_not_active_does_not_fire(scheduler: Scheduler) -> None:
    scheduler.add("later", due_for=-60)
    scheduler.add("paused", state=PAUSED)
    scheduler.add("deleted", state=DELETED)
    assert scheduler.fire().looked_at == []


def test_a_tick_that_was_written_down_does_not_fire_again(scheduler: Scheduler, play: DatastorePlay) -> None:
    scheduler.add()
    due = scheduler.row()["next_tick_at"]
    scheduler.fire()
    play.change("UPDATE schedules SET next_tick_at = %s, due_at = %s", due, due)
    scheduler.fire()
    assert len(scheduler.jobs()) == 1
    assert scheduler.row()["next_tick_at"] > due


def test_one_that_somebody_else_looks_at_is_left_to_them(
    scheduler: Scheduler, other_session: psycopg.Connection[dict[str, object]]
) -> None:
    scheduler.add("theirs")
    scheduler.add("ours")
    other_session.execute("SELECT FROM schedules WHERE id = 'theirs' FOR UPDATE")
    assert scheduler.fire().looked_at == ["ours"]
    other_session.rollback()
    assert scheduler.fire().looked_at == ["theirs"]


def test_of_four_that_look_at_once_again_and_again_one_fires_each_tick(
    scheduler: Scheduler, play: DatastorePlay
) -> None:
    """Each of them believes in another time of day: only the database's counts."""
    for number in range(30):
        scheduler.add(f"s{number:02d}", due_for=290, schedule=Schedule(cron="@every 10s", catchup="all"))
    barrier = threading.Barrier(4)
    errors: list[Exception] = []

    def look(number: int) -> None:
        barrier.wait()
        try:
            for _ in range(40):
                fire_due(scheduler.datastore, new_id=lambda: f"{number}-{play.new_id()}", limit=7)
        except Exception as error:  # noqa: BLE001 - whatever it is, it fails the test
            errors.append(error)

    threads = [threading.Thread(target=look, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert errors == []
    fired = play.rows("SELECT schedule_id, count(*) AS jobs FROM jobs GROUP BY 1")
    ticks = play.rows("SELECT schedule_id, count(*) AS jobs FROM schedule_ticks GROUP BY 1")
    key = itemgetter("schedule_id")
    assert sorted(fired, key=key) == sorted(ticks, key=key)
    assert len(fired) == 30
    assert {row["jobs"] for row in fired} <= {29, 30, 31, 32}  # the first, and one each 10 s since


def test_a_schedule_whose_zone_is_gone_is_set_back_and_the_others_fire(
    scheduler: Scheduler, play: DatastorePlay
) -> None:
    scheduler.add("lost", due_for=5, schedule=Schedule(cron="0 0 29 2 *"))
    scheduler.add("found")
    play.change("UPDATE schedules SET zone = 'Mars/Base' WHERE id = 'lost'")
    scheduler.fire()
    assert [len(scheduler.jobs(name)) for name in ("lost", "found")] == [0, 1]
    row = scheduler.row("lost")
    assert "the time zone 'Mars/Base' is not known on this machine" in row["error"]
    assert "Mars/Base" in scheduler.datastore.get_schedule("lost").error
    assert row["due_at"] - row["next_tick_at"] > timedelta(seconds=SET_BACK_SECONDS)
    # It is there again.
    play.change("UPDATE schedules SET zone = 'UTC', due_at = now() WHERE id = 'lost'")
    scheduler.fire()
    assert len(scheduler.jobs("lost")) == 1
    assert scheduler.row("lost")["error"] == ""


def test_a_schedule_that_can_not_be_read_is_set_back_and_the_others_fire(
    scheduler: Scheduler, play: DatastorePlay
) -> None:
    scheduler.add("broken")
    scheduler.add("whole")
    play.change("UPDATE schedules SET spec = 'no json' WHERE id = 'broken'")
    scheduler.fire()
    assert [len(scheduler.jobs(name)) for name in ("broken", "whole")] == [0, 1]
    assert scheduler.row("broken")["error"].startswith("it can't be read: ")


def test_a_schedule_whose_job_can_not_be_stored_is_set_back_and_the_others_fire(
    scheduler: Scheduler, play: DatastorePlay
) -> None:
    for name in ("first", "refused", "last"):
        scheduler.add(name)
    play.change("ALTER TABLE jobs ADD CHECK (schedule_id <> 'refused')")
    fired = scheduler.fire()
    assert sorted(fired.looked_at) == ["first", "last", "refused"]
    assert [len(scheduler.jobs(name)) for name in ("first", "refused", "last")] == [1, 0, 1]
    assert scheduler.row("refused")["error"].startswith("its job can't be stored: ")
    assert play.count("schedule_ticks") == 2


@pytest.mark.parametrize("overlap", ["", "allow"])
def test_by_default_jobs_of_a_schedule_overlap(scheduler: Scheduler, play: DatastorePlay, overlap: str) -> None:
    scheduler.add(schedule=Schedule(cron="@every 24h", overlap=overlap))
    scheduler.fire()
    make_due(play)
    scheduler.fire()
    assert [job["state"] for job in scheduler.jobs()] == ["SCHEDULED", "SCHEDULED"]


def make_due(play: DatastorePlay) -> None:
    play.change("UPDATE schedules SET next_tick_at = now(), due_at = now()")


def test_with_skip_there_is_no_second_job_while_one_is_active(scheduler: Scheduler, play: DatastorePlay) -> None:
    scheduler.add(schedule=Schedule(cron="@every 24h", overlap="skip"))
    scheduler.fire()
    make_due(play)
    scheduler.fire()
    (job,) = scheduler.jobs()
    assert scheduler.row()["next_tick_at"] > scheduler.row()["last_at"]
    play.complete("only", job_id=job["id"])
    make_due(play)
    scheduler.fire()
    assert [job["state"] for job in scheduler.jobs()] == ["COMPLETED", "SCHEDULED"]


def test_with_replace_the_active_job_is_cancelled_in_the_same_go(scheduler: Scheduler, play: DatastorePlay) -> None:
    scheduler.add(schedule=Schedule(cron="@every 24h", overlap="replace"))
    scheduler.fire()
    make_due(play)
    scheduler.fire()
    old, new = scheduler.jobs()
    assert [old["state"], new["state"]] == ["CANCELLED", "SCHEDULED"]
    assert old["failed_at"] == new["created_at"]


def test_with_replace_a_job_that_somebody_works_on_is_waited_for(
    scheduler: Scheduler, play: DatastorePlay, other_session: psycopg.Connection[dict[str, object]]
) -> None:
    scheduler.add(schedule=Schedule(cron="@every 24h", overlap="replace"))
    scheduler.fire()
    make_due(play)
    other_session.execute("SELECT FROM jobs FOR UPDATE")
    assert scheduler.fire().skipped == {"nightly"}
    assert [job["state"] for job in scheduler.jobs()] == ["SCHEDULED"]
    assert play.count("schedule_ticks") == 1
    threading.Timer(0.1, other_session.rollback).start()
    assert scheduler.fire(only=["nightly"], wait=20.0).skipped == set()
    assert [job["state"] for job in scheduler.jobs()] == ["CANCELLED", "SCHEDULED"]


@pytest.mark.parametrize(("catchup", "jobs"), [("", 0), ("none", 0), ("one", 1), ("all", 3)])
def test_after_an_outage_the_policy_says_how_many_jobs_there_are(
    scheduler: Scheduler, play: DatastorePlay, catchup: str, jobs: int
) -> None:
    # Three ticks have passed, and the next is so far away that the test does not meet it.
    scheduler.add(due_for=250_000, schedule=Schedule(cron="@every 100000s", catchup=catchup))
    scheduler.fire()
    assert len(scheduler.jobs()) == jobs
    assert scheduler.row()["next_tick_at"] == scheduler.row()["created_at"].replace(microsecond=0) + timedelta(
        seconds=300_000
    )


def test_many_missed_ticks_are_made_up_for_in_several_transactions(
    scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ticks, "MOST_TICKS", 4)
    scheduler.add(due_for=9.5 * 24 * 3600, schedule=Schedule(cron="@every 24h", catchup="all"))
    counts: list[int] = []
    while scheduler.fire().looked_at:
        counts.append(len(scheduler.jobs()))
    assert counts == [4, 8, 10]


def test_the_next_tick_is_told_by_the_clock_of_the_database(scheduler: Scheduler, play: DatastorePlay) -> None:
    assert scheduler.datastore.seconds_to_next_tick() is None
    scheduler.add("paused", state=PAUSED)
    assert scheduler.datastore.seconds_to_next_tick() is None
    scheduler.add("far", due_for=-1_000)
    scheduler.add("near", due_for=-500)
    seconds = scheduler.datastore.seconds_to_next_tick()
    assert seconds is not None
    assert 400 < seconds <= 500
    scheduler.add("due", due_for=1)
    seconds = scheduler.datastore.seconds_to_next_tick()
    assert seconds is not None
    assert seconds < 0


def test_a_schedule_is_read_with_everything_that_it_was_given(scheduler: Scheduler) -> None:
    scheduler.add(
        inputs={"a": "b"}, secrets={"c": "d"}, schedule=Schedule(cron="@daily", overlap="skip", catchup="one")
    )
    told = scheduler.datastore.get_schedule("nightly")
    assert (told.name, told.cron, told.zone, told.overlap, told.catchup) == ("nightly", "@daily", "UTC", "skip", "one")
    assert (told.inputs, told.secrets, [task.name for task in told.tasks]) == ({"a": "b"}, {"c": "d"}, ["only"])
    assert told.next_at is not None
    scheduler.add("paused", state=PAUSED)
    assert scheduler.datastore.get_schedule("paused").next_at is None


@pytest.mark.parametrize("schedule_id", ["none", "deleted", "a\0b"])
def test_a_schedule_that_is_not_there_is_not_found(scheduler: Scheduler, schedule_id: str) -> None:
    scheduler.add("deleted", state=DELETED)
    with pytest.raises(NotFound, match=r"^scheduled job not found$"):
        scheduler.datastore.get_schedule(schedule_id)
    with pytest.raises(NotFound, match=r"^scheduled job not found$"), scheduler.datastore.begin() as batch:
        batch.lock_schedule(schedule_id)


def test_schedules_are_listed_newest_first_in_pages(scheduler: Scheduler) -> None:
    for number in range(5):
        scheduler.add(f"s{number}")
    scheduler.add("deleted", state=DELETED)
    page = scheduler.datastore.list_schedules(page=2, size=2)
    assert [item.name for item in page.items] == ["s2", "s1"]
    assert (page.number, page.size, page.total_pages, page.total_items) == (2, 2, 3, 5)
    assert scheduler.datastore.list_schedules(page=9, size=2).items == []


def test_a_deleted_schedule_goes_when_its_jobs_are_gone(scheduler: Scheduler, play: DatastorePlay) -> None:
    scheduler.add()
    scheduler.add("other")
    scheduler.fire()
    make_due(play)
    scheduler.fire()
    ended, active = scheduler.jobs()
    play.complete("only", job_id=ended["id"])
    play.change("UPDATE schedules SET state = 'DELETED' WHERE id = 'nightly'")
    cleared = scheduler.datastore.clear_schedules(limit=10)
    assert [instance.job_id for instance in cleared.instances] == [active["id"]]
    play.handle(CancelRequested(job_id=active["id"], root_id=active["id"]))
    assert scheduler.datastore.clear_schedules(limit=10).remaining == 1
    assert play.count("schedules") == 2
    scheduler.datastore.delete_old(jobs_seconds=1e6, logs_seconds=1e6, limit=100)
    assert (scheduler.jobs(), len(scheduler.jobs("other"))) == ([], 2)
    scheduler.datastore.clear_schedules(limit=10)
    assert [row["id"] for row in play.rows("SELECT id FROM schedules")] == ["other"]


def test_the_key_of_a_deleted_schedule_is_kept_for_a_while(scheduler: Scheduler, play: DatastorePlay) -> None:
    with scheduler.datastore.begin() as batch:
        batch.accept(IdempotencyKey(owner="ann", key="k", body=b"b"), "nightly")
    scheduler.add(state=DELETED)
    scheduler.datastore.clear_schedules(limit=10)
    assert play.count("schedules") == 0
    assert play.row("SELECT expires_at > now() + interval '6 days' AS later FROM idempotency")["later"] is True


def test_a_tick_is_kept_until_after_its_job_is_gone(scheduler: Scheduler, play: DatastorePlay) -> None:
    scheduler.add()
    scheduler.fire()
    scheduler.datastore.clear_schedules(limit=10)
    play.change("UPDATE schedule_ticks SET expires_at = now() - interval '1 second'")
    scheduler.datastore.clear_schedules(limit=10)
    assert play.row("SELECT expires_at > now() + interval '6 days' AS later FROM schedule_ticks")["later"] is True
    play.change("DELETE FROM jobs")
    scheduler.datastore.clear_schedules(limit=10)
    assert play.count("schedule_ticks") == 1
    play.change("UPDATE schedule_ticks SET expires_at = now() - interval '1 second'")
    scheduler.datastore.clear_schedules(limit=10)
    assert play.count("schedule_ticks") == 0


def test_ticks_that_are_kept_do_not_hide_that_there_are_more(scheduler: Scheduler, play: DatastorePlay) -> None:
    for name in ("one", "two"):
        scheduler.add(name)
    scheduler.fire()
    play.change("UPDATE schedule_ticks SET expires_at = now() - interval '1 second'")
    assert [scheduler.datastore.clear_schedules(limit=1).more for _ in range(3)] == [True, True, False]
    assert play.count("schedule_ticks") == 2


def test_a_job_that_nobody_scheduled_has_no_schedule(play: DatastorePlay) -> None:
    definition = JobDefinition(name="plain", tasks=[a_task()], schedule=DAILY)
    play.handle(JobSubmitted(job_id="plain", definition=definition, created_by="ann"))
    assert play.job("plain")["schedule_id"] is None
    assert play.datastore.get_summary("plain").schedule is None
