"""What the doctor asks of a datastore: each fault is found, and nothing of a job in good order is."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.support.builders import a_job, a_parallel, a_subjob, a_task, an_each, claim_of, failure_of
from tests.support.datastore_play import DatastorePlay
from tork.job import JobDefinition
from tork.task import Retry
from torkd.datastore.protocol import Dispatch, DownNode, Examined, HandedOut
from torkd.engine.events import JobStalled, RetryDue

FAR = 1e9


def examine(play: DatastorePlay, **times: Any) -> Examined:
    base: dict[str, Any] = {"lease_seconds": 15, "late_seconds": 20, "unseen_seconds": FAR}
    return play.datastore.examine(**base | times)


def faults(seen: Examined) -> list[Any]:
    return [*seen.stalled_jobs, *seen.stalled_tasks, *seen.silent_runs, *seen.late_retries, *seen.old_outbox]


JOBS = {
    "one": a_job(),
    "steps": a_job(a_task("a"), a_task("b", if_="false"), a_task("c")),
    "parallel": a_job(a_parallel(a_task("a"), a_task("b"))),
    "each": a_job(an_each("{{ sequence(0, 700) }}", concurrency=30)),
    "empty each": a_job(an_each("{{ [] }}"), a_task("next")),
    "nested": a_job(an_each("{{ [1, 2] }}", a_parallel(a_task("a"), a_task("b")))),
    "sub-job": a_job(a_subjob(a_task("inner"))),
}


@pytest.mark.parametrize("definition", JOBS.values(), ids=JOBS)
def test_a_job_in_good_order_shows_no_fault_at_any_time(play: DatastorePlay, definition: JobDefinition) -> None:
    play.now = play.row("SELECT now()")["now"]
    play.change("INSERT INTO leases (id, node_id, renewed_at) VALUES ('lease of node-1', 'node-1', now())")
    play.submit(definition)
    while ready := play.tasks(state="SCHEDULED"):
        assert faults(examine(play)) == []
        for task in ready[:40]:
            play.handle(claim_of(task))
        assert faults(examine(play)) == []
        play.complete_rows(ready[:40])
    assert faults(examine(play)) == []
    assert not examine(play).is_busy


def test_an_active_job_without_a_task_is_stalled(play: DatastorePlay) -> None:
    play.submit(a_job(a_task("a")))
    play.change("DELETE FROM tasks")
    (stalled,) = examine(play).stalled_jobs
    assert stalled == JobStalled(job_id="job", root_id="job", version=play.job()["version"])
    play.handle(stalled)
    assert play.states() == {"a": "SCHEDULED"}
    assert examine(play).stalled_jobs == []


@pytest.mark.parametrize(
    ("state", "becomes"), [("COMPLETED", "RUNNING"), ("FAILED", "FAILED"), ("CANCELLED", "RUNNING")]
)
def test_an_active_job_whose_task_has_ended_is_stalled(play: DatastorePlay, state: str, becomes: str) -> None:
    play.submit(a_job(a_task("a"), a_task("b")))
    play.handle(claim_of(play.task("a")))
    play.change("UPDATE tasks SET state = %s, error = 'boom'", state)
    (stalled,) = examine(play).stalled_jobs
    assert (stalled.task_id, stalled.error) == (play.task("a").id, "boom")
    play.handle(stalled)
    assert play.job()["state"] == becomes
    assert examine(play).stalled_jobs == []


def test_a_parent_without_a_child_that_could_end_is_stalled(play: DatastorePlay) -> None:
    play.submit(a_job(a_parallel(a_task("a"), a_task("b")), a_task("next")))
    play.change("UPDATE tasks SET state = 'COMPLETED' WHERE kind = 'regular'")
    (stalled,) = examine(play).stalled_tasks
    assert (stalled.task_id, stalled.is_done) == (play.task("parallel").id, True)
    play.handle(stalled)
    assert play.states() == {"parallel": "COMPLETED", "a": "COMPLETED", "b": "COMPLETED", "next": "SCHEDULED"}


def test_a_parent_that_lost_a_child_is_stalled_and_can_not_be_done(play: DatastorePlay) -> None:
    play.submit(a_job(a_parallel(a_task("a"), a_task("b"))))
    play.change("UPDATE tasks SET state = 'COMPLETED' WHERE item_index = 0")
    play.change("DELETE FROM tasks WHERE item_index = 1")
    (stalled,) = examine(play).stalled_tasks
    assert stalled.error == "only 1 of its 2 children have ended well, and none is left"
    play.handle(stalled)
    assert (play.job()["state"], play.job()["error"]) == ("FAILED", stalled.error)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ("UPDATE jobs SET state = 'COMPLETED', result = 'r' WHERE parent_job_id = 'job'", ""),
        ("UPDATE jobs SET state = 'FAILED', error = 'boom' WHERE parent_job_id = 'job'", "boom"),
        ("UPDATE jobs SET state = 'CANCELLED' WHERE parent_job_id = 'job'", "its sub-job is CANCELLED"),
        ("DELETE FROM jobs WHERE parent_job_id = 'job'", "its sub-job is gone"),
    ],
    ids=["completed", "failed", "cancelled", "gone"],
)
def test_a_task_whose_sub_job_has_ended_without_it_is_stalled(play: DatastorePlay, change: str, error: str) -> None:
    play.submit(a_job(a_subjob(a_task("inner"), var="out")))
    play.change("UPDATE tasks SET state = 'COMPLETED' WHERE kind = 'regular'")
    play.change(change)
    seen = examine(play)
    assert seen.stalled_jobs == []
    (stalled,) = seen.stalled_tasks
    assert (stalled.is_done, stalled.error) == (not error, error)
    play.handle(stalled)
    assert play.job()["state"] == ("FAILED" if error else "COMPLETED")


def silence(play: DatastorePlay, *, read_since: float) -> None:
    """The worker was silent for a minute, while heartbeats were read without a gap since so many seconds ago."""
    play.handle(claim_of(play.task("only")))
    play.change(
        "INSERT INTO leases (id, node_id, renewed_at) VALUES ('lease of node-1', 'node-1', now() - interval '1 minute')"
    )
    play.change(
        "UPDATE engine SET heartbeats_until = now(), heartbeats_since = now() - make_interval(secs => %s)", read_since
    )


def test_a_run_whose_worker_is_silent_can_be_given_up_once_it_had_a_whole_lease_to_be_heard(
    play: DatastorePlay,
) -> None:
    play.submit(a_job())
    silence(play, read_since=16)
    (run,) = examine(play).silent_runs
    assert (run.lost.task_id, run.node_id, run.may_be_given_up) == (play.task("only").id, "node-1", True)
    play.handle(run.lost)
    assert play.task("only").dispatch == 2
    assert examine(play).silent_runs == []


def test_a_run_is_not_given_up_while_nobody_could_hear_its_worker(play: DatastorePlay) -> None:
    play.submit(a_job())
    silence(play, read_since=3)
    (run,) = examine(play).silent_runs
    assert not run.may_be_given_up


def test_silence_after_reading_stopped_gives_nobody_up(play: DatastorePlay) -> None:
    """The rule of the coordinators: what is repaired by hand must not be less sure."""
    play.submit(a_job())
    silence(play, read_since=1000)
    play.change("UPDATE leases SET renewed_at = now() - interval '20 seconds'")
    play.change("UPDATE engine SET heartbeats_until = now() - interval '10 seconds'")
    (run,) = examine(play, late_seconds=1).silent_runs
    assert not run.may_be_given_up


def test_a_queue_is_served_while_a_worker_that_is_alive_runs_a_task_of_it(play: DatastorePlay) -> None:
    play.submit(a_job())
    play.handle(claim_of(play.task("only")))
    play.change("INSERT INTO leases (id, node_id, renewed_at) VALUES ('lease of node-1', 'node-1', now())")
    assert examine(play).served_queues == {"default"}
    play.change("UPDATE leases SET renewed_at = now() - interval '1 hour'")
    assert examine(play).served_queues == frozenset()


def test_nodes_that_are_alive_and_say_down_are_told(play: DatastorePlay) -> None:
    for name, status, silent in (("well", "UP", 0), ("ill", "DOWN", 30), ("ill and gone", "DOWN", 40)):
        play.change(
            "INSERT INTO nodes (id, lease_id, name, hostname, port, status, version, started_at, last_heartbeat_at) "
            "VALUES (%s, '', %s, 'host', 8001, %s, '1', now(), now() - make_interval(secs => %s))",
            f"id of {name}",
            name,
            status,
            silent,
        )
    assert examine(play).down_nodes == [DownNode(id="id of ill", name="ill", hostname="host", port=8001)]


def test_a_retry_that_is_overdue_is_late(play: DatastorePlay) -> None:
    play.now = play.row("SELECT now() - interval '1 hour' AS now")["now"]
    play.submit(a_job(a_task("t", retry=Retry(limit=2, initial_delay="10s"))))
    play.handle(failure_of(play.task("t")))
    late = [RetryDue(task_id=play.task("t").id, job_id="job", root_id="job")]
    assert examine(play).late_retries == late
    assert examine(play, late_seconds=FAR).late_retries == []


def test_an_outbox_row_that_stays_is_old(play: DatastorePlay) -> None:
    play.submit(a_job())
    assert examine(play).old_outbox == []
    play.change("UPDATE outbox SET created_at = now() - interval '21 seconds'")
    assert examine(play).old_outbox == [Dispatch(task_id=play.task("only").id, dispatch=1)]


def test_hand_outs_that_left_the_outbox_and_that_no_run_holds_are_told_by_queue(play: DatastorePlay) -> None:
    play.now = play.row("SELECT now() - interval '1 hour' AS now")["now"]
    play.submit(a_job(a_parallel(a_task("a", queue="gpu"), a_task("b", queue="gpu"), a_task("c"))))
    assert examine(play, unseen_seconds=60).waiting == [], "they are still to be sent"
    assert examine(play, unseen_seconds=60).queues == {"gpu", "default"}
    play.change("DELETE FROM outbox")
    play.handle(claim_of(play.task("b")))
    assert examine(play, unseen_seconds=60).waiting == [
        HandedOut(queue="default", count=1, task_ids=[play.task("c").id]),
        HandedOut(queue="gpu", count=1, task_ids=[play.task("a").id]),
    ]
    assert examine(play, unseen_seconds=timedelta(hours=2).total_seconds()).waiting == []


def test_no_more_is_told_than_was_asked_for(play: DatastorePlay) -> None:
    for number in range(5):
        play.submit(a_job(), f"job{number}")
    play.change("DELETE FROM tasks")
    assert len(examine(play, limit=3).stalled_jobs) == 3
