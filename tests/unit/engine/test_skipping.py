"""Going on without a task."""

from __future__ import annotations

import pytest

from tests.support.builders import (
    a_job,
    a_parallel,
    a_subjob,
    a_task,
    claim_of,
    numbered,
    report_of,
)
from tests.support.engine_play import Play
from tork.errors import StateConflict
from tork.job import JobState
from tork.task import Retry, TaskState
from torkd.engine.changes import OrderKind


@pytest.mark.parametrize("state", ["SCHEDULED", "RUNNING", "PENDING"])
def test_an_active_task_is_skipped_and_the_job_goes_on(state: str) -> None:
    play = Play(a_job(a_task("a", var="x", retry=Retry(limit=1)), a_task("next {{ tasks.x }}")))
    if state == "RUNNING":
        play.claim("a", run_id="r")
    elif state == "PENDING":
        play.fail("a")
    outcome = play.skip("a", "known to hang")
    task = play.task("a")
    assert (task.state, task.reason, task.result, task.due_at) == (TaskState.SKIPPED, "known to hang", None, None)
    assert [order.run_id for order in outcome.orders if order.kind is OrderKind.STOP] == (
        ["r"] if state == "RUNNING" else []
    )
    assert play.named(TaskState.SCHEDULED) == ["next "]


def test_a_run_of_a_skipped_task_is_stopped_and_its_report_changes_nothing() -> None:
    play = Play(a_job(a_task("a", var="x"), a_task("next")))
    scheduled = play.task("a")
    play.skip("a")
    late = play.handle(claim_of(scheduled, run_id="r"))
    assert [order.kind for order in late.orders] == [OrderKind.STOP]
    play.handle(report_of(scheduled, run_id="r", result="late"))
    assert (play.task("a").state, play.context()) == (TaskState.SKIPPED, {})


def test_a_claim_of_the_skipped_run_is_told_to_stop_again() -> None:
    play = Play(a_job(a_task("a"), a_task("next")))
    play.claim("a", run_id="r")
    running = play.task("a")
    play.skip("a")
    assert [order.kind for order in play.handle(claim_of(running, run_id="r")).orders] == [OrderKind.STOP]


def test_a_skip_that_comes_twice_changes_nothing_and_keeps_the_first_reason() -> None:
    play = Play(a_job(a_task("a"), a_task("next")))
    task = play.task("a")
    play.skip(task, "first")
    assert play.skip(task, "second").changes == [[]]
    assert play.task("a").reason == "first"


def test_a_skip_that_comes_after_the_completion_is_refused() -> None:
    play = Play(a_job(a_task("a"), a_task("next")))
    task = play.task("a")
    play.complete("a")
    with pytest.raises(StateConflict, match="task is COMPLETED and can not be skipped"):
        play.skip(task)


def test_a_failed_step_is_skipped_by_another_run_of_it_and_the_job_goes_on() -> None:
    play = Play(a_job(a_task("a", var="x"), a_task("next"), output="[{{ tasks.x }}]"))
    play.fail("a")
    play.skip("a", "fixed by hand")
    assert (play.runs("a"), play.task("a").reason) == (["FAILED", "SKIPPED"], "fixed by hand")
    assert (play.job.state, play.job.error) == (JobState.RUNNING, "")
    play.run_to_the_end()
    assert (play.job.state, play.job.result) == (JobState.COMPLETED, "[]")


def test_a_failed_step_is_not_skipped_twice() -> None:
    play = Play(a_job(a_task("a"), a_task("next")))
    play.fail("a")
    failed = play.task("a")
    play.skip(failed)
    with pytest.raises(StateConflict, match="since"):
        play.skip(failed)


def test_the_failed_children_are_skipped_one_by_one_until_the_job_goes_on() -> None:
    play = Play(a_job(numbered(3, on_failure="continue"), a_task("next")))
    play.run_to_the_end("t0", "t2")
    play.skip("t0")
    assert play.job.error == "1 of 3 have failed:\nitem 2 (t2): boom"
    play.skip("t2")
    assert (play.job.state, play.task("each").completions) == (JobState.RUNNING, 3)
    play.run_to_the_end()
    assert play.job.state is JobState.COMPLETED


def test_a_failed_child_is_skipped_while_its_siblings_go_on() -> None:
    play = Play(a_job(a_parallel(a_task("a"), a_task("b"), on_failure="continue")))
    play.fail("a")
    play.skip("a")
    play.complete("b")
    assert play.job.state is JobState.COMPLETED


def test_with_a_skipped_child_the_siblings_go_on_that_were_stopped_for_it() -> None:
    play = Play(a_job(a_parallel(a_task("a"), a_task("b"))))
    play.fail("a")
    play.skip("a")
    assert play.named(TaskState.SCHEDULED) == ["b"]
    play.complete("b")
    assert play.job.state is JobState.COMPLETED


def test_a_child_that_waits_to_be_run_again_can_be_skipped() -> None:
    play = Play(a_job(numbered(3, concurrency=1, on_failure="continue")))
    play.run_to_the_end("t0", "t1", "t2")
    play.retry_failed()
    play.skip("t2")
    play.run_to_the_end()
    assert (play.job.state, play.runs("t2")) == (JobState.COMPLETED, ["FAILED", "SKIPPED"])


def test_a_child_whose_turn_has_not_come_is_skipped_when_it_does() -> None:
    play = Play(a_job(numbered(4, concurrency=1)))
    play.skip("t2", "later")
    assert (play.task("t2").state, play.task("t2").reason) == (TaskState.CREATED, "later")
    play.complete("t0", "t1")
    assert (play.task("t2").state, play.named(TaskState.SCHEDULED)) == (TaskState.SKIPPED, ["t3"])
    play.complete("t3")
    assert play.job.state is JobState.COMPLETED


def test_it_is_skipped_too_when_the_job_was_stopped_before_its_turn() -> None:
    play = Play(a_job(numbered(3, concurrency=1)))
    play.skip("t2", "later")
    play.fail("t0")
    play.retry_failed()
    play.run_to_the_end()
    assert (play.job.state, play.runs("t2"), play.task("t2").reason) == (
        JobState.COMPLETED,
        ["CANCELLED", "SKIPPED"],
        "later",
    )


@pytest.mark.parametrize("what", ["each", "subjob", "parallel"])
def test_skipping_a_running_composite_stops_all_that_is_below(what: str) -> None:
    whole = {
        "each": numbered(5),
        "subjob": a_subjob(a_subjob(a_task("t0"), job_name="deep", name="inner")),
        "parallel": a_parallel(a_parallel(a_task("t0"), name="inner"), a_task("t1")),
    }[what]
    play = Play(a_job(whole, a_task("next")))
    play.claim("t0", run_id="r")
    outcome = play.skip(what)
    assert [order.run_id for order in outcome.orders if order.kind is OrderKind.STOP] == ["r"]
    assert play.named(TaskState.SCHEDULED) == ["next"]
    assert [job.state for job in play.model.jobs.values() if job.id != "job"] == [JobState.CANCELLED] * (
        2 if what == "subjob" else 0
    )
    play.complete("next")
    assert play.job.state is JobState.COMPLETED


@pytest.mark.parametrize("on_failure", ["stop", "continue"])
def test_a_failed_composite_is_skipped_as_a_whole(on_failure: str) -> None:
    play = Play(a_job(numbered(3, on_failure=on_failure), a_task("next")))
    play.run_to_the_end("t1")
    play.skip("each", "do without")
    assert play.runs("each")[1:] == ["SKIPPED"]
    play.run_to_the_end()
    assert (play.job.state, play.runs("t1")) == (JobState.COMPLETED, ["FAILED"])


def test_a_task_in_a_failed_sub_job_is_skipped_and_all_jobs_above_go_on() -> None:
    play = Play(a_job(a_subjob(a_subjob(a_task("bad"), a_task("good"), job_name="deep"))))
    play.fail("bad")
    play.skip("bad")
    assert play.named(TaskState.SCHEDULED) == ["good"]
    play.run_to_the_end()
    assert {job.state for job in play.model.jobs.values()} == {JobState.COMPLETED}


def test_a_task_in_a_sub_job_whose_task_was_skipped_can_not_be_skipped() -> None:
    play = Play(a_job(a_subjob(a_task("bad")), a_task("next")))
    play.fail("bad")
    bad = play.task("bad")
    play.skip("subjob")
    with pytest.raises(StateConflict, match="since"):
        play.skip(bad)


def test_the_last_step_may_be_skipped_and_so_may_a_cancelled_one() -> None:
    play = Play(a_job(a_task("only")))
    play.cancel()
    play.skip("only")
    assert (play.job.state, play.runs("only")) == (JobState.COMPLETED, ["CANCELLED", "SKIPPED"])


def test_a_restart_keeps_skipped_steps_before_and_runs_skipped_children_again() -> None:
    play = Play(a_job(a_task("a"), a_parallel(a_task("b"), a_task("c"))))
    play.skip("a")
    play.skip("b")
    play.fail("c")
    play.restart()
    assert (play.runs("a"), play.runs("b")) == (["SKIPPED"], ["SKIPPED", "SCHEDULED"])
    play.run_to_the_end()
    assert play.job.state is JobState.COMPLETED


def test_a_retry_keeps_what_was_skipped() -> None:
    play = Play(a_job(a_parallel(a_task("b"), a_task("c"))))
    play.skip("b")
    play.fail("c")
    play.retry_failed()
    assert play.named(TaskState.SCHEDULED) == ["c"]


def test_a_job_without_what_is_asked_about_is_none_of_our_business() -> None:
    play = Play(a_job())
    task = play.task("only")
    del play.model.tasks[task.id]
    assert play.skip(task).changes == [[]]
