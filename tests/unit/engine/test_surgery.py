"""Running again what failed, and going on without a task."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.builders import a_job, a_parallel, a_subjob, a_task, an_each, claim_of, failure_of, report_of
from tests.support.engine_play import Play
from tork.errors import StateConflict
from tork.job import JobState
from tork.task import Retry, TaskDefinition, TaskState
from torkd.engine import fanout
from torkd.engine.changes import OrderKind


def numbered(count: int, **fields: Any) -> TaskDefinition:
    return an_each(f"{{{{ sequence(0, {count}) }}}}", a_task("t{{ item.index }}", var="t{{ item.index }}"), **fields)


def run_to_the_end(play: Play, *failing: str) -> None:
    """Workers do all that is handed out; these tasks fail."""
    while ready := [task for task in play.model.tasks.values() if task.state is TaskState.SCHEDULED]:
        task = ready[0]
        play.handle(failure_of(task) if task.name in failing else report_of(task, result=f"r{task.name}"))


def runs(play: Play, name: str) -> list[str]:
    return [task.state.value for task in play.instances(name)]


# Retry of what failed


def test_only_the_failed_children_run_again_and_the_job_goes_on() -> None:
    play = Play(a_job(numbered(20, concurrency=5, on_failure="continue"), a_task("next"), output="{{ tasks.t3 }}"))
    run_to_the_end(play, "t3", "t11", "t19")
    before = play.task("each")
    play.retry_failed()
    assert [play.model.tasks[task_id].name for task_id, _ in play.model.outbox[20:]] == ["t3", "t11", "t19"]
    each = play.task("each")
    assert (each.id, each.state, each.completions, each.failures) == (before.id, TaskState.RUNNING, 17, 0)
    assert (play.job.state, play.job.error, play.job.failed_at) == (JobState.RUNNING, "", None)
    run_to_the_end(play)
    assert runs(play, "t3") == ["FAILED", "COMPLETED"]
    assert (play.job.state, play.job.result, len(play.sent())) == (JobState.COMPLETED, "rt3", 24)


def test_children_that_fail_again_are_told_again_and_can_be_run_again() -> None:
    play = Play(a_job(numbered(4, on_failure="continue")))
    run_to_the_end(play, "t1", "t2")
    play.retry_failed()
    run_to_the_end(play, "t2")
    assert play.job.error == "1 of 4 have failed:\nitem 2 (t2): boom"
    play.retry_failed()
    run_to_the_end(play)
    assert (play.job.state, runs(play, "t2")) == (JobState.COMPLETED, ["FAILED", "FAILED", "COMPLETED"])


def test_where_a_failure_stops_the_others_these_run_too_and_what_was_not_made_yet() -> None:
    play = Play(a_job(numbered(400, concurrency=2)))
    play.complete("t0", "t1")
    play.fail("t2")
    each = play.task("each")
    assert (each.state, each.completions) == (TaskState.CANCELLED, 2)
    play.retry_failed()
    run_to_the_end(play)
    each = play.task("each")
    assert (play.job.state, each.completions, each.redo_left) == (JobState.COMPLETED, 400, 0)
    assert runs(play, "t0") == ["COMPLETED"]
    assert runs(play, "t2") == ["FAILED", "COMPLETED"]


@pytest.mark.parametrize("count", [3, 150])
def test_children_that_were_never_made_since_one_before_failed_at_once_are_made_by_a_retry(count: int) -> None:
    bad = an_each(
        f"{{{{ sequence(0, {count}) }}}}", a_task("t{{ item.index }}", queue="{{ item.index == '1' ? 'jobs' : '' }}")
    )
    play = Play(a_job(bad))
    assert play.job.state is JobState.FAILED
    play.skip("t1")
    run_to_the_end(play)
    assert (play.job.state, play.task("each").completions) == (JobState.COMPLETED, count)


def test_a_cancelled_job_goes_on_with_what_was_not_done() -> None:
    play = Play(a_job(a_task("first"), a_parallel(a_task("a"), a_task("b"))))
    play.complete("first", "a")
    play.cancel()
    play.retry_failed()
    assert play.named(TaskState.SCHEDULED) == ["b"]
    run_to_the_end(play)
    assert (play.job.state, runs(play, "first"), runs(play, "a")) == (JobState.COMPLETED, ["COMPLETED"], ["COMPLETED"])


def test_a_step_that_failed_starts_anew_with_what_is_known_by_now() -> None:
    play = Play(a_job(a_task("first", var="x"), a_task("step {{ tasks.x }}")))
    play.complete("first", result="r")
    play.fail("step r")
    play.retry_failed()
    play.complete("step r")
    assert (play.job.state, runs(play, "step r")) == (JobState.COMPLETED, ["FAILED", "COMPLETED"])


def test_a_child_whose_template_failed_is_evaluated_again() -> None:
    children = a_parallel(a_task("a", var="a"), a_task("b {{ 4 % int(tasks.a) }}"), on_failure="continue")
    play = Play(a_job(children))
    play.complete("a", result="3")
    assert play.job.error is not None
    assert play.job.error.startswith("1 of 2 have failed:")
    play.retry_failed()
    assert play.sent()[-1] == "b 1"
    play.complete("b 1")
    assert play.job.state is JobState.COMPLETED


def test_an_element_is_still_seen_by_a_child_that_is_evaluated_again() -> None:
    play = Play(
        a_job(
            a_parallel(
                a_task("a", var="a"),
                an_each("{{ [7] }}", a_task("{{ item.value % int(tasks.a) }}"), on_failure="continue"),
                on_failure="continue",
            )
        )
    )
    play.complete("a", result="4")
    play.retry_failed()
    assert play.sent()[-1] == "3"


def test_retries_of_the_file_count_anew() -> None:
    play = Play(a_job(a_parallel(a_task("a", retry=Retry(limit=1)), on_failure="continue")))
    play.fail("a")
    play.retry("a")
    play.fail("a")
    play.retry_failed()
    play.fail("a")
    play.retry("a")
    assert [task.attempts for task in play.instances("a")] == [0, 1, 0, 1]
    play.complete("a")
    assert play.job.state is JobState.COMPLETED


def test_concurrency_holds_for_what_is_run_again() -> None:
    play = Play(a_job(numbered(6, concurrency=2, on_failure="continue")))
    run_to_the_end(play, *(f"t{number}" for number in range(6)))
    play.retry_failed()
    assert play.named(TaskState.SCHEDULED) == ["t0", "t1"]
    play.complete("t1")
    assert play.named(TaskState.SCHEDULED) == ["t0", "t2"]
    run_to_the_end(play, "t4")
    assert play.job.error == "1 of 6 have failed:\nitem 4 (t4): boom"


def test_thousands_are_run_again_some_at_a_time() -> None:
    size = 1_500
    play = Play(a_job(numbered(size, concurrency=700, on_failure="continue")), unfold=False)
    while play.job.state.is_active:
        play.handle(*(failure_of(task) for task in play.model.tasks.values() if task.state is TaskState.SCHEDULED))
        while play.model.unfolding:
            play.model.handle(play.model.unfolding.pop(0))
    before = len(play.model.tasks)
    play.retry_failed()
    counts: list[int] = []
    while play.model.unfolding:
        play.model.handle(play.model.unfolding.pop(0))
        counts.append(len(play.model.tasks) - before - sum(counts))
    assert (sum(counts), max(counts)) == (700, 250)


def test_nested_failures_are_found_and_run_again_at_every_depth() -> None:
    inner = an_each(
        "{{ sequence(0, 3) }}",
        a_task("t{{ outer.index }}{{ item.index }}"),
        name="i{{ outer.index }}",
        on_failure="continue",
    )
    stopping = a_parallel(a_task("a"), a_parallel(a_task("b"), a_task("c"), name="deep"), name="stopping")
    play = Play(
        a_job(
            a_parallel(
                an_each("{{ [0, 1] }}", inner, each_var="outer", name="outer", on_failure="continue"),
                stopping,
                on_failure="continue",
            )
        )
    )
    play.complete("c")
    run_to_the_end(play, "t02", "t10", "b")
    assert play.job.state is JobState.FAILED
    sent = len(play.sent())
    play.retry_failed()
    assert sorted(play.sent()[sent:]) == ["b", "t02", "t10"]
    run_to_the_end(play)
    assert (play.job.state, runs(play, "c"), runs(play, "t00")) == (JobState.COMPLETED, ["COMPLETED"], ["COMPLETED"])


def test_a_retry_goes_down_into_failed_sub_jobs() -> None:
    deep = a_subjob(
        a_task("one"), a_parallel(a_task("two"), a_task("three"), on_failure="continue"), name="deep", job_name="deeper"
    )
    play = Play(a_job(a_task("zero"), a_subjob(deep, name="task", var="x", subjob={"output": "done"})))
    run_to_the_end(play, "two")
    assert [play.job.state, play.sub_job().state, play.sub_job("deeper").state] == [JobState.FAILED] * 3
    count = len(play.model.jobs)
    play.retry_failed()
    assert [play.job.state, play.sub_job().state, play.sub_job("deeper").state] == [JobState.RUNNING] * 3
    run_to_the_end(play)
    assert (play.job.state, play.context(), len(play.model.jobs)) == (JobState.COMPLETED, {"x": "done"}, count)
    assert (runs(play, "one"), runs(play, "two"), runs(play, "three")) == (
        ["COMPLETED"],
        ["FAILED", "COMPLETED"],
        ["COMPLETED"],
    )


def test_a_retry_of_a_sub_job_lets_the_jobs_above_go_on() -> None:
    play = Play(a_job(a_parallel(a_subjob(a_task("inner")), a_task("beside"), on_failure="continue"), a_task("next")))
    run_to_the_end(play, "inner")
    play.retry_failed(play.sub_job())
    assert (play.job.state, play.task("parallel").failures) == (JobState.RUNNING, 0)
    run_to_the_end(play)
    assert (play.job.state, runs(play, "next")) == (JobState.COMPLETED, ["COMPLETED"])


def test_a_sub_job_that_can_not_go_on_starts_anew() -> None:
    play = Play(a_job(a_subjob(a_task("inner"), subjob={"output": "{{ 1 % int(inputs.x) }}"})))
    play.complete("inner")
    first = play.sub_job()
    play.retry_failed()
    assert play.sub_job().id != first.id
    assert play.job.state is JobState.RUNNING


def test_failures_of_a_running_job_are_run_again_while_the_others_go_on() -> None:
    play = Play(a_job(numbered(5, concurrency=3, on_failure="continue")))
    play.fail("t0")
    play.fail("t1")
    play.retry_failed()
    assert (play.task("each").failures, play.task("each").redo_left) == (0, 2)
    play.fail("t2")  # after the retry was asked for: that one stays failed
    run_to_the_end(play)
    assert play.job.error == "1 of 5 have failed:\nitem 2 (t2): boom"
    assert (runs(play, "t0"), runs(play, "t1")) == (["FAILED", "COMPLETED"], ["FAILED", "COMPLETED"])


def test_failures_in_a_running_sub_job_are_run_again_too() -> None:
    play = Play(a_job(a_subjob(a_parallel(a_task("a"), a_task("b"), on_failure="continue"))))
    play.fail("a")
    play.retry_failed()
    run_to_the_end(play)
    assert play.job.state is JobState.COMPLETED


@pytest.mark.parametrize("is_done", [False, True])
def test_a_retry_is_refused_where_nothing_has_failed(is_done: bool) -> None:
    play = Play(a_job(a_parallel(a_task("a"), a_task("b"), on_failure="continue")))
    if is_done:
        run_to_the_end(play)
    state = "COMPLETED and can not be retried" if is_done else "SCHEDULED and nothing in it has failed"
    with pytest.raises(StateConflict, match=f"job is {state}"):
        play.retry_failed()


def test_a_job_whose_output_failed_has_nothing_to_run_again() -> None:
    play = Play(a_job(a_task("a"), output="{{ 1 % int(inputs.x) }}"))
    play.complete("a")
    with pytest.raises(StateConflict, match="no more tasks"):
        play.retry_failed()


def test_a_retry_that_is_asked_for_twice_happens_once() -> None:
    play = Play(a_job(numbered(3, on_failure="continue")))
    run_to_the_end(play, "t1")
    play.retry_failed()
    with pytest.raises(StateConflict, match="nothing in it has failed"):
        play.retry_failed()
    assert len(play.sent()) == 4


# Retry of one task


def test_one_failed_child_runs_again_and_the_others_stay_failed() -> None:
    play = Play(a_job(numbered(5, on_failure="continue")))
    run_to_the_end(play, "t1", "t3", "t4")
    play.retry_task(play.task("t3"))
    assert play.named(TaskState.SCHEDULED) == ["t3"]
    run_to_the_end(play)
    assert play.job.error == "2 of 5 have failed:\nitem 1 (t1): boom\nitem 4 (t4): boom"


def test_one_failed_child_runs_again_at_once_while_the_job_runs_as_far_as_there_is_room() -> None:
    play = Play(a_job(numbered(4, concurrency=2, on_failure="continue")))
    play.fail("t0")
    play.fail("t1")
    play.retry_task(play.task("t1"))
    assert play.named(TaskState.SCHEDULED) == ["t2", "t3"]
    play.complete("t2")
    assert play.named(TaskState.SCHEDULED) == ["t3", "t1"]
    run_to_the_end(play)
    assert play.job.error == "1 of 4 have failed:\nitem 0 (t0): boom"


def test_with_one_failed_child_the_siblings_go_on_that_were_stopped_for_it() -> None:
    play = Play(a_job(a_parallel(a_task("a"), a_task("b"), a_task("c"))))
    play.complete("a")
    play.fail("b")
    play.retry_task(play.task("b"))
    assert sorted(play.named(TaskState.SCHEDULED)) == ["b", "c"]
    run_to_the_end(play)
    assert play.job.state is JobState.COMPLETED


def test_a_whole_composite_can_be_named_and_so_can_a_task_in_a_sub_job() -> None:
    play = Play(a_job(a_subjob(numbered(3, on_failure="continue"))))
    run_to_the_end(play, "t0", "t2")
    play.retry_task(play.task("each"))
    assert play.named(TaskState.SCHEDULED) == ["t0", "t2"]
    run_to_the_end(play, "t2")
    play.retry_task(play.task("t2"))
    run_to_the_end(play)
    assert play.job.state is JobState.COMPLETED


def test_after_a_cancel_in_the_midst_of_a_retry_all_that_is_left_can_be_run_again() -> None:
    play = Play(a_job(numbered(6, concurrency=1, on_failure="continue")))
    run_to_the_end(play, "t1", "t3", "t5")
    play.retry_failed()
    play.fail("t1")
    play.cancel()
    play.retry_task(play.task("t3"))
    run_to_the_end(play)
    assert play.job.state is JobState.COMPLETED


@pytest.mark.parametrize("twice", [True, False])
def test_a_task_that_was_run_again_since_is_refused(twice: bool) -> None:
    play = Play(a_job(numbered(3, on_failure="continue")))
    run_to_the_end(play, "t1")
    first = play.task("t1")
    play.retry_task(first)
    if not twice:
        run_to_the_end(play, "t1")
    with pytest.raises(StateConflict, match="was run again or skipped since"):
        play.retry_task(first)
    assert len(play.sent()) == 4


def test_a_task_that_does_well_or_is_not_in_the_job_can_not_be_retried() -> None:
    play = Play(a_job(a_parallel(a_subjob(a_task("inner")), a_task("b"), a_task("c"), on_failure="continue")))
    play.complete("b")
    for name, state in (("b", "COMPLETED"), ("c", "SCHEDULED"), ("parallel", "RUNNING")):
        with pytest.raises(StateConflict, match=f"task is {state} and can not be retried"):
            play.retry_task(play.task(name))
    with pytest.raises(StateConflict, match="not one of this job"):
        play.retry_task(play.task("b"), play.sub_job())


def test_a_task_that_the_job_has_left_behind_can_not_be_retried() -> None:
    play = Play(a_job(a_parallel(a_task("a"), on_failure="continue"), a_task("next")))
    play.fail("a")
    failed = play.task("a")
    play.skip("parallel")
    with pytest.raises(StateConflict, match="since"):
        play.retry_task(failed)


# Skip


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
    assert (runs(play, "a"), play.task("a").reason) == (["FAILED", "SKIPPED"], "fixed by hand")
    assert (play.job.state, play.job.error) == (JobState.RUNNING, "")
    run_to_the_end(play)
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
    run_to_the_end(play, "t0", "t2")
    play.skip("t0")
    assert play.job.error == "1 of 3 have failed:\nitem 2 (t2): boom"
    play.skip("t2")
    assert (play.job.state, play.task("each").completions) == (JobState.RUNNING, 3)
    run_to_the_end(play)
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
    run_to_the_end(play, "t0", "t1", "t2")
    play.retry_failed()
    play.skip("t2")
    run_to_the_end(play)
    assert (play.job.state, runs(play, "t2")) == (JobState.COMPLETED, ["FAILED", "SKIPPED"])


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
    run_to_the_end(play)
    assert (play.job.state, runs(play, "t2"), play.task("t2").reason) == (
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
    run_to_the_end(play, "t1")
    play.skip("each", "do without")
    assert runs(play, "each")[1:] == ["SKIPPED"]
    run_to_the_end(play)
    assert (play.job.state, runs(play, "t1")) == (JobState.COMPLETED, ["FAILED"])


def test_a_task_in_a_failed_sub_job_is_skipped_and_all_jobs_above_go_on() -> None:
    play = Play(a_job(a_subjob(a_subjob(a_task("bad"), a_task("good"), job_name="deep"))))
    play.fail("bad")
    play.skip("bad")
    assert play.named(TaskState.SCHEDULED) == ["good"]
    run_to_the_end(play)
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
    assert (play.job.state, runs(play, "only")) == (JobState.COMPLETED, ["CANCELLED", "SKIPPED"])


def test_a_restart_keeps_skipped_steps_before_and_runs_skipped_children_again() -> None:
    play = Play(a_job(a_task("a"), a_parallel(a_task("b"), a_task("c"))))
    play.skip("a")
    play.skip("b")
    play.fail("c")
    play.restart()
    assert (runs(play, "a"), runs(play, "b")) == (["SKIPPED"], ["SKIPPED", "SCHEDULED"])
    run_to_the_end(play)
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


def test_progress_never_goes_back_in_a_retry() -> None:
    play = Play(a_job(numbered(4, on_failure="continue"), a_task("next")))
    run_to_the_end(play, "t1")
    before = play.job.progress
    play.retry_failed()
    assert (play.job.progress, play.job.position) == (before, 1)
    run_to_the_end(play)
    assert play.job.progress == 100.0


def test_the_window_of_what_is_open_holds_without_a_concurrency() -> None:
    assert fanout.room(Play(a_job(numbered(5))).task("each")) == fanout.OPEN_WINDOW - 5
