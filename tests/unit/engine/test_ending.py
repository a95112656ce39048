"""Failures, cancelling and starting again."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tests.support.builders import a_job, a_parallel, a_task, an_each, claim_of, failure_of, report_of
from tests.support.engine_play import Play
from tork.errors import StateConflict
from tork.job import JobState
from tork.task import Retry, TaskState
from torkd.broker.messages import RunOutcome
from torkd.engine.events import CancelRequested, RestartRequested, RetryDue


def test_a_failed_child_cancels_its_running_siblings_and_their_parent() -> None:
    play = Play(a_job(a_parallel(a_task("a"), a_task("b"), a_task("c"), a_task("done")), a_task("next")))
    play.complete("done")
    play.claim("a")
    play.claim("b", run_id="rb", node_id="nb")
    outcome = play.fail("a", "boom")
    assert play.states() == {
        "parallel": "CANCELLED",
        "a": "FAILED",
        "b": "CANCELLED",
        "c": "CANCELLED",
        "done": "COMPLETED",
    }
    assert [(o.kind, o.node_id, o.run_id) for o in outcome.orders if o.kind == "stop"] == [("stop", "nb", "rb")]
    assert play.job.error == "boom"


def test_children_that_are_held_back_are_cancelled_with_the_rest() -> None:
    play = Play(a_job(an_each("{{ sequence(0,400) }}", concurrency=2)))
    play.fail("item 0")
    assert sorted({task.state for task in play.model.tasks.values()}) == [TaskState.CANCELLED, TaskState.FAILED]


def test_a_wide_failure_is_decided_once() -> None:
    play = Play(a_job(a_parallel(*[a_task(f"t{n}") for n in range(20)])))
    reports = [failure_of(play.task(f"t{n}"), f"boom {n}") for n in range(20)]
    outcome = play.handle(*reports)
    assert play.job.error == "boom 0"
    assert [len(changes) for changes in outcome.changes[1:]] == [1] * 19, "an acknowledgement each"
    assert play.named(TaskState.FAILED) == ["t0"]


def test_the_late_report_of_a_cancelled_run_changes_nothing() -> None:
    play = Play(a_job())
    play.claim("only")
    play.cancel()
    before = play.model.copy()
    outcome = play.handle(report_of(play.task("only"), RunOutcome.FAILED, error="context canceled"))
    assert [order.kind for order in outcome.orders] == ["acknowledge"]
    assert (play.model.jobs, play.model.tasks) == (before.jobs, before.tasks)


def test_the_late_report_of_an_old_run_does_not_touch_the_restarted_job() -> None:
    play = Play(a_job(a_task("only", retry=Retry(limit=1))))
    play.claim("only")
    old = play.task("only")
    play.cancel()
    play.restart()
    play.handle(report_of(old, RunOutcome.FAILED, error="context canceled"))
    assert (play.job.state, play.task("only").state) == (JobState.RUNNING, TaskState.SCHEDULED)
    assert len(play.instances("only")) == 2


@pytest.mark.parametrize("end", ["complete", "fail", "cancel"])
def test_a_job_that_has_ended_can_not_be_cancelled(end: str) -> None:
    play = Play(a_job())
    play.cancel() if end == "cancel" else getattr(play, end)("only")
    before = play.job
    with pytest.raises(StateConflict, match=r"^job is not running$"):
        play.cancel()
    assert play.job == before


def test_a_pending_job_can_be_cancelled_and_started_again() -> None:
    play = Play(a_job())
    play.model.tasks.clear()
    play.model.jobs["job"] = replace(play.job, state=JobState.PENDING, position=0, started_at=None)
    play.cancel()
    assert play.job.state is JobState.CANCELLED
    play.restart()
    assert (play.job.state.value, play.job.position, play.job.started_at) == ("RUNNING", 1, play.model.now)
    assert play.states() == {"only": "SCHEDULED"}


def test_cancelling_or_restarting_a_job_that_is_gone_does_nothing() -> None:
    play = Play(a_job())
    outcome = play.model.handle(
        CancelRequested(job_id="gone", root_id="gone"), RestartRequested(job_id="gone", root_id="gone")
    )
    assert (outcome.changes, outcome.errors) == ([[], []], [None, None])


@pytest.mark.parametrize("state", [JobState.SCHEDULED, JobState.RUNNING, JobState.COMPLETED])
def test_only_a_failed_or_cancelled_job_can_be_restarted(state: JobState) -> None:
    play = Play(a_job())
    if state is JobState.RUNNING:
        play.claim("only")
    if state is JobState.COMPLETED:
        play.complete("only")
    with pytest.raises(StateConflict, match=rf"^job is {state} and can not be restarted$"):
        play.restart()
    assert len(play.model.tasks) == 1


def test_a_restarted_composite_starts_over_entirely() -> None:
    play = Play(a_job(an_each("{{ sequence(0,3) }}", concurrency=1)))
    play.complete("item 0")
    play.fail("item 1")
    play.restart()
    old, new = play.instances("each")
    assert (old.state, new.state) == (TaskState.CANCELLED, TaskState.RUNNING)
    assert (new.created, new.released, new.completions) == (3, 1, 0)
    play.complete("item 0", "item 1", "item 2")
    assert (play.job.state, play.job.progress) == (JobState.COMPLETED, 100.0)


def test_a_restart_gives_all_retries_again() -> None:
    play = Play(a_job(a_task("a", retry=Retry(limit=1))))
    play.fail("a")
    play.retry("a")
    play.fail("a")
    play.restart()
    assert play.task("a").attempts == 0
    play.fail("a")
    assert play.job.state is JobState.RUNNING
    assert play.task("a").attempts == 1


def test_a_restart_keeps_progress_and_old_instances() -> None:
    play = Play(a_job(a_task("a"), a_task("b")))
    play.complete("a")
    play.claim("b")
    play.progress("b", 80)
    play.fail("b")
    play.restart()
    assert (play.job.progress, len(play.instances("b"))) == (90.0, 2)


def test_cancel_and_restart_in_one_batch_start_a_fresh_instance() -> None:
    play = Play(a_job(a_parallel(a_task("a"), a_task("b"))))
    play.claim("a", run_id="ra")
    cancel, restart = CancelRequested(job_id="job", root_id="job"), RestartRequested(job_id="job", root_id="job")
    outcome = play.handle(cancel, restart, cancel, restart)
    assert play.job.state is JobState.RUNNING
    assert sum(task.state.is_active for task in play.model.tasks.values()) == 3
    assert [order.run_id for order in outcome.orders] == ["ra"]
    assert len(outcome.sent) == 2


def test_a_retry_that_comes_due_after_the_end_changes_nothing() -> None:
    play = Play(a_job(a_task("a", retry=Retry(limit=1))))
    play.fail("a")
    play.cancel()
    task = play.task("a")
    assert play.handle(RetryDue(task_id=task.id, job_id="job", root_id="job")).changes == [[]]


@pytest.mark.parametrize("end", ["failure", "cancel"])
def test_a_run_that_was_claimed_in_the_same_batch_is_told_to_stop(end: str) -> None:
    play = Play(a_job(a_parallel(a_task("a"), a_task("b"))))
    claim = claim_of(play.task("b"), run_id="rb", node_id="nb")
    last = failure_of(play.task("a")) if end == "failure" else CancelRequested(job_id="job", root_id="job")
    outcome = play.handle(claim, last)
    assert [(o.node_id, o.run_id) for o in outcome.orders if o.kind == "stop"] == [("nb", "rb")]


def test_a_task_that_completed_in_the_batch_of_the_cancellation_stays_completed() -> None:
    play = Play(a_job(a_parallel(a_task("a"), a_task("b"))))
    play.claim("a")
    outcome = play.handle(report_of(play.task("a")), CancelRequested(job_id="job", root_id="job"))
    assert play.states() == {"parallel": "CANCELLED", "a": "COMPLETED", "b": "CANCELLED"}
    assert play.task("a").failed_at is None
    assert [order.kind for order in outcome.orders] == ["acknowledge"]
