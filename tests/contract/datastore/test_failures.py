"""Composites that go on after a failure: what is counted, what is told, what is cancelled."""

from __future__ import annotations

from tests.support.builders import a_job, a_parallel, a_subjob, a_task, an_each, claim_of, failure_of
from tests.support.datastore_play import DatastorePlay
from tests.support.statement_counting import counted_statements
from tork.task import EachProgress, Retry, TaskState
from torkd.engine.changes import OrderKind
from torkd.engine.events import RetryDue


def test_failures_are_counted_and_told_at_the_end_whether_stored_before_or_just_now(play: DatastorePlay) -> None:
    play.submit(
        a_job(an_each("{{ sequence(0, 5) }}", a_task("t{{ item.index }}", retry=Retry(limit=1)), on_failure="continue"))
    )
    for name in ("t3", "t1", "t0"):
        play.handle(failure_of(play.task(name), "at first"))
        play.handle(RetryDue(task_id=play.task(name).id, job_id="job", root_id="job"))
    play.complete("t0")
    play.handle(failure_of(play.task("t3"), "no 3"))
    parent = play.task("each")
    assert (parent.state, parent.completions, parent.failures, parent.goes_on) == (TaskState.RUNNING, 1, 1, True)
    play.complete("t2", "t4")
    play.handle(failure_of(play.task("t1"), "no 1"))
    told = "2 of 5 have failed:\nitem 1 (t1): no 1\nitem 3 (t3): no 3"
    assert (play.job()["state"], play.job()["error"], play.task("each").error) == ("FAILED", told, told)
    assert play.datastore.get_task(parent.id).each == EachProgress(
        list="{{ sequence(0, 5) }}",
        task=a_task("t{{ item.index }}", retry=Retry(limit=1)),
        on_failure="continue", size=5, completions=3, failures=2, index=5,
    )  # fmt: skip


def test_of_failures_that_come_together_with_the_end_all_are_told(play: DatastorePlay) -> None:
    play.submit(a_job(an_each("{{ sequence(0, 3) }}", a_task("t{{ item.index }}"), on_failure="continue")))
    play.handle(*(failure_of(play.task(f"t{number}"), f"no {number}") for number in range(3)))
    assert play.job()["error"] == "3 of 3 have failed:\nitem 0 (t0): no 0\nitem 1 (t1): no 1\nitem 2 (t2): no 2"


def test_of_many_that_end_with_a_failure_in_one_batch_all_is_told_with_few_statements(play: DatastorePlay) -> None:
    tasks = (a_task(f"{name}{{{{ item.index }}}}") for name in ("soon", "late", "good"))
    inner = a_parallel(*tasks, name="in{{ item.index }}", on_failure="continue")
    play.submit(a_job(an_each("{{ sequence(0, 30) }}", inner, on_failure="continue")))
    play.handle(*(failure_of(play.task(f"soon{number}"), f"no {number}") for number in range(30)))
    play.complete(*(f"good{number}" for number in range(30)))
    failures = [failure_of(play.task(f"late{number}"), "boom") for number in range(30)]
    with counted_statements() as statements:
        play.handle(*failures)
    assert len(statements) <= 6
    for number in (0, 29):
        told = f"2 of 3 have failed:\ntask 1 (soon{number}): no {number}\ntask 2 (late{number}): boom"
        assert play.task(f"in{number}").error == told
    assert play.job()["state"] == "FAILED"


def test_a_failure_makes_room_for_a_sibling_in_the_same_transaction(play: DatastorePlay) -> None:
    play.submit(
        a_job(an_each("{{ sequence(0, 3) }}", a_task("t{{ item.index }}"), concurrency=1, on_failure="continue"))
    )
    play.handle(failure_of(play.task("t0")))
    assert play.states() == {"each": "RUNNING", "t0": "FAILED", "t1": "SCHEDULED", "t2": "CREATED"}


def test_what_is_below_a_failed_child_is_cancelled_though_it_was_never_loaded(play: DatastorePlay) -> None:
    many = an_each("{{ sequence(0, 300) }}", a_task("child"))
    sub = a_subjob(a_subjob(a_task("deep"), job_name="deeper"), job_name="sub")
    inner = a_parallel(many, sub, a_task("bad"), name="inner")
    play.submit(a_job(a_parallel(inner, a_task("other"), on_failure="continue")))
    running = play.tasks(name="child")[7]
    play.handle(claim_of(running))
    handled = play.handle(failure_of(play.task("bad")))
    stops = [order.run_id for order in handled.view.orders if order.kind is OrderKind.STOP]
    assert stops == [claim_of(running).run_id]
    active = play.rows("SELECT name FROM tasks WHERE state NOT IN ('CANCELLED', 'FAILED') ORDER BY id")
    assert [row["name"] for row in active] == ["parallel", "other"]
    assert [play.jobs_named(name)[0]["state"] for name in ("sub", "deeper")] == ["CANCELLED", "CANCELLED"]
    versions = {job["id"]: job["version"] for job in play.rows("SELECT * FROM jobs")}
    assert handled.versions == versions
    assert {task.version - versions[task.job_id] for task in play.tasks(state="CANCELLED")} == {0}
    play.complete("other")
    assert play.job()["error"] == "1 of 2 have failed:\ntask 1 (inner): boom"
