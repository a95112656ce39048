"""What is due, what was left over, lives of the broker, retention."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest

from tests.support.builders import (
    START,
    a_job,
    a_parallel,
    a_subjob,
    a_task,
    an_each,
    claim_of,
    failure_of,
    report_of,
)
from tests.support.datastore_play import DatastorePlay
from tork.task import AutoDelete, Retry
from torkd.broker.messages import LogPrinted, RunTask
from torkd.datastore.protocol import Dispatch, JobQuery
from torkd.engine.events import CancelRequested, ChildrenDue, RetryDue

LEASE = 15.0
LONG = 1e9


def due(play: DatastorePlay) -> list[Any]:
    return play.datastore.events_due(now=play.now, lease_seconds=LEASE, limit=100)


def leftovers(play: DatastorePlay, *, older_than: float = 5.0, limit: int = 100) -> list[RunTask]:
    with play.datastore.leftovers(older_than_seconds=older_than, limit=limit) as tasks:
        return tasks


def age_outbox(play: DatastorePlay, seconds: float) -> None:
    play.change("UPDATE outbox SET created_at = created_at - make_interval(secs => %s)", seconds)


def delete_old(play: DatastorePlay, *, jobs: float = LONG, logs: float = LONG, limit: int = 100) -> int:
    """Until nothing is left."""
    total = 0
    while gone := play.datastore.delete_old(jobs_seconds=jobs, logs_seconds=logs, limit=limit):
        total += gone
    return total


def jobs(play: DatastorePlay) -> list[str]:
    return [row["id"] for row in play.rows("SELECT id FROM jobs ORDER BY id")]


# What is due


def test_a_retry_is_due_when_its_time_has_come(play: DatastorePlay) -> None:
    play.submit(a_job(a_task("t", retry=Retry(limit=2, initial_delay="10s"))))
    play.handle(failure_of(play.task("t")))
    play.pass_time(timedelta(seconds=9))
    assert due(play) == []
    play.pass_time(timedelta(seconds=1))
    retry = RetryDue(task_id=play.task("t").id, job_id="job", root_id="job")
    assert due(play) == [retry]
    play.handle(retry, retry)
    assert (play.task("t").state.value, play.task("t").dispatch) == ("SCHEDULED", 1)
    assert due(play) == []


def test_a_retry_of_a_cancelled_job_is_never_due(play: DatastorePlay) -> None:
    play.submit(a_job(a_task("t", retry=Retry(limit=2))))
    play.handle(failure_of(play.task("t")))
    play.handle(CancelRequested(job_id="job", root_id="job"))
    play.pass_time(timedelta(days=1))
    assert due(play) == []


def test_children_that_nobody_makes_are_due(play: DatastorePlay) -> None:
    play.submit(a_job(an_each("{{ sequence(0, 1500) }}", a_task("child"))))
    play.handle(*due(play))
    assert len(play.tasks(state="SCHEDULED")) == 1000
    assert due(play) == [], "a whole window is handed out"
    first = [report_of(task) for task in play.tasks(name="child")[:300]]
    play.handle(*first)  # and nobody comes back for the next children
    assert due(play) == [ChildrenDue(task_id=play.task("each").id, job_id="job", root_id="job")]


# Leftovers


def test_hand_outs_that_nobody_published_are_claimed_when_they_are_old_enough(play: DatastorePlay) -> None:
    play.submit(a_job())
    assert leftovers(play) == []
    age_outbox(play, 6)
    (message,) = leftovers(play)
    assert (message.task_id, message.dispatch, message.queue) == (play.task("only").id, 1, "default")
    assert message.definition.run == "true"
    assert play.outbox() == []


def test_two_who_claim_leftovers_get_different_ones(play: DatastorePlay) -> None:
    play.submit(a_job(a_parallel(*(a_task(f"t{number}") for number in range(10)))))
    age_outbox(play, 6)
    with play.datastore.leftovers(older_than_seconds=5, limit=4) as first:
        second = leftovers(play)
    assert len(first) == 4
    assert len(second) == 6
    assert len({task.task_id for task in [*first, *second]}) == 10


def test_leftovers_that_are_not_current_go_without_a_message(play: DatastorePlay) -> None:
    play.submit(a_job())
    play.handle(claim_of(play.task("only")))
    age_outbox(play, 6)
    assert leftovers(play) == []
    assert play.outbox() == []


def test_bodies_are_built_from_what_is_stored_now(play: DatastorePlay) -> None:
    play.submit(a_job(a_parallel(a_task("a", queue="q", priority=3), a_task("b"), a_task("c"))))
    dispatches = [Dispatch(task_id=play.task(name).id, dispatch=1) for name in ("a", "b", "c")]
    play.handle(claim_of(play.task("c")))
    messages = play.datastore.bodies([*dispatches, Dispatch(task_id=dispatches[0].task_id, dispatch=2)])
    assert [(message.definition.name, message.queue, message.priority) for message in messages] == [
        ("a", "q", 3),
        ("b", "default", 0),
    ]
    assert play.datastore.bodies([]) == []


def test_a_message_names_the_secrets_to_hide(play: DatastorePlay) -> None:
    play.submit(a_job(a_subjob(a_task("inner"), subjob={"secrets": {"b": "two"}}), secrets={"a": "one"}))
    inner = play.tasks(name="inner")[0]
    (message,) = play.datastore.bodies([Dispatch(task_id=inner.id, dispatch=1)])
    assert sorted(message.mask) == ["one", "two"]


def test_published_hand_outs_are_forgotten(play: DatastorePlay) -> None:
    play.submit(a_job(a_parallel(a_task("a"), a_task("b"))))
    play.datastore.forget([Dispatch(task_id=play.task("a").id, dispatch=1)])
    assert play.outbox() == [(play.task("b").id, 1)]


# Lives of the broker


def test_a_new_epoch_hands_out_again_what_no_run_holds_with_the_same_dispatch(play: DatastorePlay) -> None:
    play.submit(a_job(a_parallel(*(a_task(name) for name in ("waiting", "held", "done")), a_task("p"))))
    play.handle(claim_of(play.task("held")), report_of(play.task("done")))
    play.change("DELETE FROM outbox")
    assert play.datastore.begin_epoch("e1", expected="")
    assert play.datastore.epoch() == "e1"
    sent = leftovers(play)
    assert {(task.definition.name, task.dispatch) for task in sent} == {("waiting", 1), ("p", 1)}
    duplicate = report_of(play.task("waiting"), run_id="from the first message")
    play.handle(duplicate)
    handled = play.handle(claim_of(play.task("waiting"), run_id="from the second"))
    assert [order.run_id for order in handled.view.orders] == ["from the second"]


def test_of_many_who_find_the_broker_wiped_one_begins_the_epoch(play: DatastorePlay) -> None:
    play.submit(a_job())
    barrier = threading.Barrier(4)
    won: list[str] = []

    def begin(name: str) -> None:
        barrier.wait()
        if play.datastore.begin_epoch(name, expected=""):
            won.append(name)

    threads = [threading.Thread(target=begin, args=[f"e{number}"]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert won == [play.datastore.epoch()]


def test_hand_outs_to_a_queue_that_lost_them_go_out_again(play: DatastorePlay) -> None:
    play.submit(a_job(a_parallel(a_task("lost"), a_task("held"), a_task("elsewhere", queue="q"))))
    play.pass_time(timedelta(seconds=60))
    play.submit(a_job(a_task("young")), "later")
    play.handle(claim_of(play.task("held")))
    play.change("DELETE FROM outbox")
    moment = START + timedelta(seconds=30)
    assert play.datastore.queues_with_hand_outs() == {"default", "q"}
    assert play.datastore.send_unseen_again("default", before=moment, limit=10) == 1
    assert play.datastore.send_unseen_again("default", before=moment, limit=10) == 0
    assert [(task.definition.name, task.dispatch) for task in leftovers(play)] == [("lost", 1)]
    play.handle(claim_of(play.task("elsewhere")))
    assert play.datastore.queues_with_hand_outs() == {"default"}


def test_a_private_engine_leaves_nothing_of_its_jobs(play: DatastorePlay) -> None:
    play.submit(a_job(an_each("{{ sequence(0, 150) }}", a_task("child")), inputs={"a": "b"}, secrets={"s": "secret"}))
    play.datastore.forget_everything()
    tables = [row["name"] for row in play.rows("SELECT relname AS name FROM pg_stat_user_tables")]
    assert "job_context" in tables
    kept = {"schema_migrations", "users", "roles", "engine", "nodes", "webhook_totals"}
    assert [table for table in tables if table not in kept and play.count(table)] == []


# Retention


def test_jobs_are_counted_as_they_come_and_go_and_the_counts_are_put_together(play: DatastorePlay) -> None:
    def total() -> int:
        return play.datastore.list_jobs(JobQuery(), page=1, size=1).total_items

    for number in range(3):
        play.submit(a_job(), f"j{number}")
    assert (total(), play.count("job_counts")) == (3, 4)
    play.change("DELETE FROM jobs WHERE id IN (SELECT id FROM jobs LIMIT 2)")
    assert (total(), play.count("job_counts")) == (1, 5)
    play.datastore.delete_old(jobs_seconds=1e9, logs_seconds=1e9, limit=10)
    assert (total(), play.count("job_counts")) == (1, 1)


@pytest.mark.parametrize("outcome", ["COMPLETED", "FAILED", "CANCELLED"])
def test_an_old_job_that_has_ended_goes_with_all_its_rows(play: DatastorePlay, outcome: str) -> None:
    tasks = [a_task("t", var="x"), an_each("{{ sequence(0, 150) }}", a_task("child")), a_task("last")]
    play.submit(a_job(*tasks, inputs={"a": "b"}))
    play.complete("t", result="r")
    match outcome:
        case "COMPLETED":
            play.run_all()
        case "FAILED":
            play.handle(failure_of(play.tasks(name="child")[0]))
        case _:
            play.handle(CancelRequested(job_id="job", root_id="job"))
    assert play.job()["state"] == outcome
    delete_old(play, jobs=1, limit=20)
    tables = ("jobs", "job_details", "job_steps", "job_context", "tasks", "task_items")
    assert {table: play.count(table) for table in tables} == dict.fromkeys(tables, 0)


def test_an_active_job_stays_however_old_it_is(play: DatastorePlay) -> None:
    play.submit(a_job(a_task("a"), a_task("b")))
    play.complete("a")
    play.change("UPDATE jobs SET created_at = now() - interval '10 years', delete_at = now() - interval '9 years'")
    before = play.count("tasks")
    delete_old(play, jobs=1, logs=1)
    assert (jobs(play), play.count("tasks")) == (["job"], before)


def test_an_ended_sub_job_stays_with_the_active_job_above_it(play: DatastorePlay) -> None:
    play.submit(a_job(a_subjob(a_task("inner")), a_task("after")))
    play.handle(report_of(play.tasks(name="inner")[0]))
    assert len(jobs(play)) == 2
    delete_old(play, jobs=1)
    assert len(jobs(play)) == 2
    play.complete("after")
    delete_old(play, jobs=1)
    assert jobs(play) == []


def test_a_job_goes_when_its_own_time_is_over(play: DatastorePlay) -> None:
    play.submit(a_job(auto_delete=AutoDelete(after="1h")))
    play.submit(a_job(), "stays")
    play.complete("only")
    play.complete("only", job_id="stays")
    play.change("UPDATE jobs SET delete_at = now() + interval '1 minute' WHERE delete_at IS NOT NULL")
    delete_old(play)
    assert jobs(play) == ["job", "stays"]
    play.change("UPDATE jobs SET delete_at = now() - interval '1 minute' WHERE delete_at IS NOT NULL")
    delete_old(play)
    assert jobs(play) == ["stays"]


def test_a_large_job_goes_in_small_pieces(play: DatastorePlay) -> None:
    play.submit(a_job(an_each("{{ sequence(0, 100) }}", a_task("child"))))
    play.handle(CancelRequested(job_id="job", root_id="job"))
    gone = play.datastore.delete_old(jobs_seconds=1, logs_seconds=LONG, limit=30)
    assert gone == 30
    assert jobs(play) == ["job"], "it goes last, so that the rest is found again"
    delete_old(play, jobs=1, limit=30)
    assert (jobs(play), play.count("tasks")) == ([], 0)


def test_old_log_parts_go_and_young_ones_stay(play: DatastorePlay) -> None:
    now = play.row("SELECT now() AS now")["now"]
    for number, hours in enumerate((1, 3), start=1):
        moment = now - timedelta(hours=hours)
        part = LogPrinted(
            task_id="t", job_id="j", run_id="r", dispatch=1, number=number, contents="", printed_at=moment
        )
        play.datastore.add_log_parts([part])
    assert delete_old(play, logs=2 * 3600) == 1
    assert play.row("SELECT number FROM task_log_parts")["number"] == 1


def test_one_removes_what_is_old_while_others_leave_it_to_that_one(play: DatastorePlay) -> None:
    play.submit(a_job())
    play.complete("only")
    play.change("SELECT pg_advisory_lock(7464252)")
    assert play.datastore.delete_old(jobs_seconds=-1, logs_seconds=LONG, limit=100) == 0
    play.change("SELECT pg_advisory_unlock(7464252)")
    assert play.datastore.delete_old(jobs_seconds=-1, logs_seconds=LONG, limit=100) > 0
