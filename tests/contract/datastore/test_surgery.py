"""Running again what failed and going on without a task, on what is really stored: what was loaded is enough, and stays bounded."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.builders import (
    a_job,
    a_parallel,
    a_subjob,
    a_task,
    an_each,
    claim_of,
    failure_of,
    numbered,
    report_of,
)
from tests.support.datastore_play import DatastorePlay
from tests.support.statement_counting import counted_statements
from tork.errors import StateConflict
from tork.task import TaskState
from torkd.engine.changes import OrderKind, UnfoldSoon
from torkd.engine.events import CancelRequested, ChildrenDue, RetryRequested, SkipRequested
from torkd.engine.rows import TaskRow


def run(play: DatastorePlay, *failing: str) -> None:
    """Workers do all that is handed out; these tasks fail."""
    while ready := play.tasks(state="SCHEDULED"):
        play.unfold(
            play.handle(
                *(failure_of(task) if task.name in failing else report_of(task, result="r") for task in ready[:100])
            )
        )


def retry(play: DatastorePlay, task: TaskRow | None = None, job_id: str = "job") -> None:
    play.unfold(play.handle(RetryRequested(job_id=job_id, root_id="job", task_id=task.id if task else "")))


def skip(play: DatastorePlay, task: TaskRow, reason: str = "by hand") -> Any:
    event = SkipRequested(task_id=task.id, job_id=task.job_id, root_id=task.root_id, reason=reason)
    return play.unfold(play.handle(event))


def due(soon: UnfoldSoon) -> ChildrenDue:
    return ChildrenDue(task_id=soon.task_id, job_id=soon.job_id, root_id=soon.root_id)


def runs(play: DatastorePlay, name: str) -> list[str]:
    return [task.state.value for task in play.tasks(name=name)]


def test_only_what_failed_runs_again_and_the_results_of_the_rest_are_kept(play: DatastorePlay) -> None:
    play.submit(a_job(numbered(20, concurrency=5, on_failure="continue"), a_task("next"), output="{{ tasks.t3 }}"))
    run(play, "t3", "t11", "t19")
    each = play.task("each")
    assert (each.state, each.failures) == (TaskState.FAILED, 3)
    retry(play)
    assert [task.name for task in play.tasks(state="SCHEDULED")] == ["t3", "t11", "t19"]
    again = play.task("each")
    assert (again.id, again.state, again.failures, again.failed_at, again.error) == (
        each.id,
        TaskState.RUNNING,
        0,
        None,
        "",
    )
    assert (play.job()["state"], play.job()["failed_at"], play.job()["error"]) == ("RUNNING", None, "")
    run(play)
    assert (play.job()["state"], play.job()["result"]) == ("COMPLETED", "r")
    assert len(play.tasks()) == 1 + 20 + 3 + 1
    assert play.task("each").redo is None


def test_what_was_stopped_and_what_was_not_made_runs_too(play: DatastorePlay) -> None:
    play.submit(a_job(numbered(1_300, concurrency=3)))
    play.complete("t0", "t1")
    play.unfold(play.handle(failure_of(play.task("t2"))))
    assert play.task("each").state is TaskState.CANCELLED
    retry(play)
    assert [task.name for task in play.tasks(state="SCHEDULED")] == ["t2", "t3", "t4"]
    while play.tasks(state="SCHEDULED") and len(play.tasks(state="COMPLETED")) < 40:
        play.complete_rows(play.tasks(state="SCHEDULED"))
    assert {task.name: task.state.value for task in play.tasks(state="COMPLETED")}.keys() >= {
        f"t{n}" for n in range(40)
    }
    each = play.task("each")
    assert each.completions == len(play.tasks(state="COMPLETED"))


def test_many_failures_are_run_again_some_at_a_time_with_few_statements(play: DatastorePlay) -> None:
    play.submit(a_job(numbered(600, on_failure="continue")))
    run(play, *(f"t{number}" for number in range(600)))
    event = RetryRequested(job_id="job", root_id="job")
    handled = play.handle(event)
    counts, made = [], []
    while handled.view.unfold:
        before = play.count("tasks")
        with counted_statements() as statements:
            handled = play.handle(*(due(row) for row in handled.view.unfold.values()))
        counts.append(len(statements))
        made.append(play.count("tasks") - before)
    assert made == [250, 250, 100]
    assert max(counts) <= 8
    run(play)
    assert play.job()["state"] == "COMPLETED"


def test_what_is_to_be_run_again_is_found_when_coming_back_for_it_was_forgotten(play: DatastorePlay) -> None:
    play.submit(a_job(numbered(4, on_failure="continue")))
    run(play, "t1", "t2")
    play.handle(RetryRequested(job_id="job", root_id="job"))
    assert not play.tasks(state="SCHEDULED")
    found = play.datastore.events_due(now=play.now, lease_seconds=15, limit=100)
    assert found == [ChildrenDue(task_id=play.task("each").id, job_id="job", root_id="job")]
    assert not play.datastore.examine(lease_seconds=15, late_seconds=0, unseen_seconds=0, limit=10).stalled_tasks
    play.unfold(play.handle(*found))
    run(play)
    assert play.job()["state"] == "COMPLETED"


def test_a_retry_goes_down_into_sub_jobs_and_nested_composites(play: DatastorePlay) -> None:
    deep = a_subjob(a_task("one"), numbered(3, on_failure="continue"), name="deep", job_name="deeper")
    parts = [a_subjob(deep, name=f"s{number}", job_name=f"sub{number}") for number in range(2)]
    play.submit(a_job(a_parallel(*parts, a_parallel(a_task("a"), a_task("b"), name="inner"), on_failure="continue")))
    play.complete_rows(play.tasks(name="one"))
    run(play, "t1", "b")
    assert play.job()["state"] == "FAILED"
    jobs, count = play.count("jobs"), len(play.tasks())
    with counted_statements() as statements:
        retry(play)
    assert sorted(task.name for task in play.tasks(state="SCHEDULED")) == ["b", "t1", "t1"]
    assert len(statements) < 40
    run(play)
    assert {row["state"] for row in play.rows("SELECT state FROM jobs")} == {"COMPLETED"}
    assert (play.count("jobs"), len(play.tasks())) == (jobs, count + 3)


def test_one_child_runs_again_also_in_a_sub_job_of_the_job_that_is_named(play: DatastorePlay) -> None:
    play.submit(a_job(a_subjob(numbered(3, on_failure="continue"), job_name="sub")))
    run(play, "t0", "t2")
    sub = play.jobs_named("sub")[0]["id"]
    retry(play, play.tasks(name="t2")[0])
    assert [task.name for task in play.tasks(state="SCHEDULED")] == ["t2"]
    run(play)
    assert play.job()["error"] == "1 of 3 have failed:\nitem 0 (t0): boom"
    with pytest.raises(StateConflict, match="was run again or skipped since"):
        retry(play, play.tasks(name="t2")[0])
    retry(play, play.tasks(name="t0")[0], job_id=sub)
    run(play)
    assert play.job()["state"] == "COMPLETED"


def test_failures_of_a_running_job_run_again_and_later_ones_do_not(play: DatastorePlay) -> None:
    play.submit(a_job(a_subjob(numbered(5, concurrency=3, on_failure="continue"))))
    for name in ("t0", "t1"):
        play.unfold(play.handle(failure_of(play.tasks(name=name)[-1])))
    retry(play)
    play.unfold(play.handle(failure_of(play.tasks(name="t2")[-1])))
    run(play)
    assert play.job()["error"] == "1 of 5 have failed:\nitem 2 (t2): boom"
    assert (runs(play, "t0"), runs(play, "t2")) == (["FAILED", "COMPLETED"], ["FAILED"])


def test_a_child_that_could_not_be_evaluated_is_evaluated_from_its_definition(play: DatastorePlay) -> None:
    bad = an_each("{{ [7] }}", a_task("{{ item.value % int(tasks.a) }}"), on_failure="continue")
    play.submit(a_job(a_parallel(a_task("a", var="a"), bad, on_failure="continue")))
    play.complete("a", result="4")
    assert play.job()["state"] == "FAILED"
    retry(play)
    assert [task.name for task in play.tasks(state="SCHEDULED")] == ["3"]


def test_an_active_task_is_skipped_with_its_reason_and_its_run_is_stopped(play: DatastorePlay) -> None:
    play.submit(a_job(a_task("a"), a_task("next")))
    play.handle(claim_of(play.task("a")))
    running = play.task("a")
    handled = skip(play, running, "the mirror is gone")
    assert [(order.kind, order.run_id) for order in handled.view.orders] == [(OrderKind.STOP, running.run_id)]
    task = play.datastore.get_task(running.id)
    assert (task.state, task.reason, task.node_id) == (TaskState.SKIPPED, "the mirror is gone", running.node_id)
    assert task.completed_at is not None
    assert play.datastore.get_task_summary(running.id).reason == "the mirror is gone"
    play.handle(report_of(running))
    assert play.states() == {"a": "SKIPPED", "next": "SCHEDULED"}
    assert not skip(play, play.task("a"), "again").versions


def test_a_failed_task_is_skipped_by_another_run_of_it(play: DatastorePlay) -> None:
    play.submit(a_job(numbered(300), a_task("next")))
    play.unfold(play.handle(failure_of(play.task("t7"))))
    skip(play, play.task("t7"))
    assert (runs(play, "t7"), play.task("t7").reason) == (["FAILED", "SKIPPED"], "by hand")
    run(play)
    assert (play.job()["state"], play.task("each").completions) == ("COMPLETED", 300)


def test_a_composite_whose_last_failure_is_skipped_completes_and_has_not_failed(play: DatastorePlay) -> None:
    play.submit(a_job(numbered(3, on_failure="continue")))
    run(play, "t0", "t1")
    skip(play, play.task("t0"))
    assert play.job()["error"] == "1 of 3 have failed:\nitem 1 (t1): boom"
    skip(play, play.task("t1"))
    each = play.task("each")
    assert (play.job()["state"], each.state, each.failed_at, each.error) == ("COMPLETED", TaskState.COMPLETED, None, "")


def test_a_held_back_child_keeps_its_reason_until_its_turn(play: DatastorePlay) -> None:
    play.submit(a_job(numbered(3, concurrency=1)))
    skip(play, play.task("t2"), "not this one")
    assert (play.task("t2").state, play.task("t2").reason) == (TaskState.CREATED, "not this one")
    play.complete("t0")
    play.unfold(play.handle(CancelRequested(job_id="job", root_id="job")))
    retry(play)
    play.complete("t1")
    assert (play.job()["state"], runs(play, "t2"), play.task("t2").reason) == (
        "COMPLETED", ["CANCELLED", "SKIPPED"], "not this one",
    )  # fmt: skip


def test_a_skipped_composite_takes_all_that_is_below_along_though_it_was_never_loaded(play: DatastorePlay) -> None:
    below = a_parallel(
        numbered(300), a_subjob(a_subjob(a_task("deep"), job_name="deeper"), job_name="sub"), name="inner"
    )
    play.submit(a_job(a_parallel(below, name="whole"), a_task("next")))
    play.handle(claim_of(play.task("t9")))
    handled = skip(play, play.task("whole"))
    assert [order.kind for order in handled.view.orders] == [OrderKind.STOP]
    assert [task.name for task in play.tasks(state="SCHEDULED")] == ["next"]
    assert [play.jobs_named(name)[0]["state"] for name in ("sub", "deeper")] == ["CANCELLED"] * 2
    play.complete("next")
    assert play.job()["state"] == "COMPLETED"


def test_a_task_in_a_failed_sub_job_is_skipped_and_the_jobs_above_go_on(play: DatastorePlay) -> None:
    play.submit(a_job(a_subjob(a_task("bad"), a_task("good"), job_name="sub"), a_task("next")))
    play.unfold(play.handle(failure_of(play.tasks(name="bad")[0])))
    skip(play, play.tasks(name="bad")[0])
    run(play)
    assert {row["state"] for row in play.rows("SELECT state FROM jobs")} == {"COMPLETED"}
