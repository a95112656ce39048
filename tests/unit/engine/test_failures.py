"""Parallel and each with `onFailure: continue`: the others go on, and what failed is told at the end."""

from __future__ import annotations

import pytest

from tests.support.builders import a_job, a_parallel, a_subjob, a_task, an_each, failure_of, report_of
from tests.support.engine_play import Play
from tork.job import JobState
from tork.task import Retry, TaskState
from torkd.engine import fanout
from torkd.engine.changes import OrderKind
from torkd.engine.events import EventFailed


def test_a_failure_stops_the_others_unless_the_job_says_otherwise() -> None:
    play = Play(a_job(a_parallel(a_task("a"), a_task("b"), on_failure="stop")))
    play.fail("a")
    assert (play.job.state, play.states()["b"]) == (JobState.FAILED, "CANCELLED")


def test_the_others_go_on_after_a_failure_and_the_job_fails_at_the_end() -> None:
    play = Play(a_job(a_parallel(a_task("a"), a_task("b"), a_task("c"), on_failure="continue"), a_task("next")))
    play.fail("a", "boom")
    play.complete("b")
    assert (play.job.state, play.states()["c"]) == (JobState.RUNNING, "SCHEDULED")
    play.complete("c")
    parent = play.task("parallel")
    assert (parent.state, parent.completions, parent.failures) == (TaskState.FAILED, 2, 1)
    assert (play.job.state, play.job.error) == (JobState.FAILED, "1 of 3 have failed:\ntask 1 (a): boom")
    assert "next" not in play.states()


def test_all_failures_are_named_in_the_order_of_the_list() -> None:
    play = Play(a_job(an_each("{{ sequence(0, 6) }}", on_failure="continue")))
    for number in (4, 1):
        play.fail(f"item {number}", f"no {number}")
    play.complete("item 0", "item 2", "item 3", "item 5")
    assert play.job.error == "2 of 6 have failed:\nitem 1 (item 1): no 1\nitem 4 (item 4): no 4"


def test_failures_of_one_batch_are_named_too() -> None:
    play = Play(a_job(an_each("{{ sequence(0, 4) }}", on_failure="continue")))
    play.fail("item 3", "first")
    play.handle(
        failure_of(play.task("item 0"), "second"),
        report_of(play.task("item 1")),
        failure_of(play.task("item 2"), "third"),
    )
    assert (
        play.job.error == "3 of 4 have failed:\nitem 0 (item 0): second\nitem 2 (item 2): third\nitem 3 (item 3): first"
    )


def test_of_many_failures_the_first_are_named_and_an_error_is_told_whole_or_not_at_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fanout, "FAILURES_NAMED", 3)
    monkeypatch.setattr(fanout, "ERRORS_TOLD", 2)
    monkeypatch.setattr(fanout, "LONGEST_ERROR_TOLD", 4)
    play = Play(a_job(an_each("{{ sequence(0, 5) }}", on_failure="continue")))
    for number in range(5):
        play.fail(f"item {number}", "boom" if number else "a long story")
    named = "item 0 (item 0)\nitem 1 (item 1): boom\nitem 2 (item 2)"
    assert play.job.error == f"5 of 5 have failed:\n{named}\nand 2 more"


def test_a_child_without_a_name_is_told_by_its_place() -> None:
    play = Play(a_job(a_parallel(a_task(""), on_failure="continue")))
    play.fail("", "boom")
    assert play.job.error == "1 of 1 have failed:\ntask 1: boom"


def test_a_failure_makes_room_for_the_next_child() -> None:
    play = Play(a_job(an_each("{{ sequence(0, 4) }}", concurrency=2, on_failure="continue")))
    play.fail("item 0")
    assert play.sent() == ["item 0", "item 1", "item 2"]
    play.fail("item 1")
    assert play.sent()[3:] == ["item 3"]


def test_a_list_of_which_all_fail_is_gone_through_to_its_end() -> None:
    size = fanout.ROWS_AHEAD + 300
    play = Play(a_job(an_each(f"{{{{ sequence(0, {size}) }}}}", on_failure="continue")))
    while handed_out := play.named(TaskState.SCHEDULED):
        play.handle(*(failure_of(play.task(name)) for name in handed_out[:200]))
    assert play.task("each").failures == size
    assert play.job.error is not None
    assert play.job.error.startswith(f"{size} of {size} have failed:")


def test_retries_come_before_the_failure_counts() -> None:
    play = Play(a_job(a_parallel(a_task("a", retry=Retry(limit=1)), a_task("b"), on_failure="continue")))
    play.fail("a")
    assert play.task("parallel").failures == 0
    play.retry("a")
    play.fail("a", "again")
    play.complete("b")
    assert play.job.error == "1 of 2 have failed:\ntask 1 (a): again"


def test_a_retry_that_succeeds_is_no_failure() -> None:
    play = Play(a_job(a_parallel(a_task("a", retry=Retry(limit=1)), a_task("b"), on_failure="continue")))
    play.fail("a")
    play.retry("a")
    play.complete("b", "a")
    assert play.job.state is JobState.COMPLETED


def test_the_last_child_may_be_the_one_that_fails_or_be_skipped() -> None:
    for last in ("fail", "complete"):
        play = Play(
            a_job(a_parallel(a_task("a"), a_task("no", if_="false"), a_task("b"), on_failure="continue"), a_task("c"))
        )
        play.complete("a")
        getattr(play, last)("b")
        assert play.job.state is (JobState.FAILED if last == "fail" else JobState.RUNNING)


def test_a_template_that_can_not_be_evaluated_fails_that_child_only() -> None:
    play = Play(a_job(an_each("{{ [1, 0, 2] }}", a_task("t {{ 4 % item.value }}"), on_failure="continue")))
    assert play.job.state is JobState.SCHEDULED
    assert len(play.sent()) == 2


@pytest.mark.parametrize("concurrency", [0, 1])
def test_a_list_of_which_none_can_be_evaluated_is_told_of_at_once(concurrency: int) -> None:
    play = Play(
        a_job(
            an_each("{{ [1, 2] }}", a_task("t", cmd=["{{ int('x') }}"]), concurrency=concurrency, on_failure="continue")
        )
    )
    assert play.job.error is not None
    assert play.job.error.startswith("2 of 2 have failed:\nitem 0 (t): ")


def test_an_inner_parallel_that_stops_fails_as_one_and_the_outer_goes_on() -> None:
    inner = a_parallel(a_task("a{{ item.index }}"), a_task("b{{ item.index }}"), name="inner{{ item.index }}")
    play = Play(a_job(an_each("{{ [0, 1] }}", inner, on_failure="continue")))
    play.claim("b0", run_id="running")
    outcome = play.fail("a0", "boom")
    assert (OrderKind.STOP, "running") in [(order.kind, order.run_id) for order in outcome.orders]
    assert (play.states()["inner0"], play.states()["b0"], play.states()["inner1"]) == ("FAILED", "CANCELLED", "RUNNING")
    play.complete("a1", "b1")
    assert play.job.error == "1 of 2 have failed:\nitem 0 (inner0): boom"


def test_an_inner_each_that_goes_on_counts_as_one_failure_of_the_outer() -> None:
    inner = an_each(
        "{{ [0, 1] }}", a_task("t{{ outer.index }}{{ item.index }}"), name="i{{ outer.index }}", on_failure="continue"
    )
    play = Play(a_job(an_each("{{ [0, 1] }}", inner, each_var="outer", on_failure="continue")))
    play.fail("t00", "x")
    play.complete("t01", "t10", "t11")
    assert play.job.error == "1 of 2 have failed:\nitem 0 (i0): 1 of 2 have failed:\nitem 0 (t00): x"


def test_a_sub_job_that_fails_is_one_failed_child() -> None:
    sub = a_subjob(a_parallel(a_task("bad"), a_task("beside")), name="sub task")
    play = Play(a_job(a_parallel(sub, a_task("other"), on_failure="continue")))
    play.fail("bad", "boom")
    assert (play.sub_job().state, play.states()["beside"]) == (JobState.FAILED, "CANCELLED")
    assert play.job.state.is_active
    play.complete("other")
    assert play.job.error == "1 of 2 have failed:\ntask 1 (sub task): boom"


def test_what_a_failed_child_has_below_it_is_cancelled_sub_jobs_too() -> None:
    inner = a_parallel(a_subjob(a_subjob(a_task("deep"), job_name="deeper")), a_task("bad"), name="inner")
    play = Play(a_job(a_parallel(inner, a_task("other"), on_failure="continue")))
    play.fail("bad")
    assert {play.sub_job().state, play.sub_job("deeper").state} == {JobState.CANCELLED}
    assert play.named(TaskState.SCHEDULED) == ["other"]
    assert play.job.state.is_active


def test_an_event_that_can_not_be_handled_fails_its_child_only_with_what_is_below() -> None:
    play = Play(a_job(a_parallel(a_subjob(a_task("deep")), a_task("other"), on_failure="continue")))
    task = play.task("subjob")
    play.handle(EventFailed(task_id=task.id, job_id="job", root_id="job", reason="broken"))
    assert (play.sub_job().state, play.states()["deep"], play.states()["other"]) == (
        JobState.CANCELLED, "CANCELLED", "SCHEDULED",
    )  # fmt: skip


def test_progress_counts_what_went_well() -> None:
    play = Play(a_job(an_each("{{ sequence(0, 4) }}", on_failure="continue"), a_task("next")))
    play.fail("item 0")
    play.complete("item 1", "item 2")
    assert (play.task("each").progress, play.job.progress) == (50.0, 25.0)


def test_a_failed_job_starts_its_task_over_when_it_is_restarted() -> None:
    play = Play(a_job(an_each("{{ [0, 1] }}", on_failure="continue")))
    play.fail("item 0")
    play.complete("item 1")
    play.restart()
    assert (play.task("each").failures, play.task("each").completions) == (0, 0)
    play.complete("item 0", "item 1")
    assert play.job.state is JobState.COMPLETED
