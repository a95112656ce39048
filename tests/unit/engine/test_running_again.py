"""Running again what failed in a job, or one task of it."""

from __future__ import annotations

import pytest

from tests.support.builders import (
    a_job,
    a_parallel,
    a_subjob,
    a_task,
    an_each,
    failure_of,
    numbered,
)
from tests.support.engine_play import Play
from tork.errors import StateConflict
from tork.job import JobState
from tork.task import Retry, TaskState
from torkd.engine import fanout

# What failed in a job


def test_only_the_failed_children_run_again_and_the_job_goes_on() -> None:
    play = Play(a_job(numbered(20, concurrency=5, on_failure="continue"), a_task("next"), output="{{ tasks.t3 }}"))
    play.run_to_the_end("t3", "t11", "t19")
    before = play.task("each")
    play.retry_failed()
    assert [play.model.tasks[task_id].name for task_id, _ in play.model.outbox[20:]] == ["t3", "t11", "t19"]
    each = play.task("each")
    assert (each.id, each.state, each.completions, each.failures) == (before.id, TaskState.RUNNING, 17, 0)
    assert (play.job.state, play.job.error, play.job.failed_at) == (JobState.RUNNING, "", None)
    play.run_to_the_end()
    assert play.runs("t3") == ["FAILED", "COMPLETED"]
    assert (play.job.state, play.job.result, len(play.sent())) == (JobState.COMPLETED, "rt3", 24)


def test_children_that_fail_again_are_told_again_and_can_be_run_again() -> None:
    play = Play(a_job(numbered(4, on_failure="continue")))
    play.run_to_the_end("t1", "t2")
    play.retry_failed()
    play.run_to_the_end("t2")
    assert play.job.error == "1 of 4 have failed:\nitem 2 (t2): boom"
    play.retry_failed()
    play.run_to_the_end()
    assert (play.job.state, play.runs("t2")) == (JobState.COMPLETED, ["FAILED", "FAILED", "COMPLETED"])


def test_where_a_failure_stops_the_others_these_run_too_and_what_was_not_made_yet() -> None:
    play = Play(a_job(numbered(400, concurrency=2)))
    play.complete("t0", "t1")
    play.fail("t2")
    each = play.task("each")
    assert (each.state, each.completions) == (TaskState.CANCELLED, 2)
    play.retry_failed()
    play.run_to_the_end()
    each = play.task("each")
    assert (play.job.state, each.completions, each.redo_left) == (JobState.COMPLETED, 400, 0)
    assert play.runs("t0") == ["COMPLETED"]
    assert play.runs("t2") == ["FAILED", "COMPLETED"]


@pytest.mark.parametrize("count", [3, 150])
def test_children_that_were_never_made_since_one_before_failed_at_once_are_made_by_a_retry(count: int) -> None:
    bad = an_each(
        f"{{{{ sequence(0, {count}) }}}}", a_task("t{{ item.index }}", queue="{{ item.index == '1' ? 'jobs' : '' }}")
    )
    play = Play(a_job(bad))
    assert play.job.state is JobState.FAILED
    play.skip("t1")
    play.run_to_the_end()
    assert (play.job.state, play.task("each").completions) == (JobState.COMPLETED, count)


def test_a_cancelled_job_goes_on_with_what_was_not_done() -> None:
    play = Play(a_job(a_task("first"), a_parallel(a_task("a"), a_task("b"))))
    play.complete("first", "a")
    play.cancel()
    play.retry_failed()
    assert play.named(TaskState.SCHEDULED) == ["b"]
    play.run_to_the_end()
    assert (play.job.state, play.runs("first"), play.runs("a")) == (JobState.COMPLETED, ["COMPLETED"], ["COMPLETED"])


def test_a_step_that_failed_starts_anew_with_what_is_known_by_now() -> None:
    play = Play(a_job(a_task("first", var="x"), a_task("step {{ tasks.x }}")))
    play.complete("first", result="r")
    play.fail("step r")
    play.retry_failed()
    play.complete("step r")
    assert (play.job.state, play.runs("step r")) == (JobState.COMPLETED, ["FAILED", "COMPLETED"])


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
    play.run_to_the_end(*(f"t{number}" for number in range(6)))
    play.retry_failed()
    assert play.named(TaskState.SCHEDULED) == ["t0", "t1"]
    play.complete("t1")
    assert play.named(TaskState.SCHEDULED) == ["t0", "t2"]
    play.run_to_the_end("t4")
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
    play.run_to_the_end("t02", "t10", "b")
    assert play.job.state is JobState.FAILED
    sent = len(play.sent())
    play.retry_failed()
    assert sorted(play.sent()[sent:]) == ["b", "t02", "t10"]
    play.run_to_the_end()
    assert (play.job.state, play.runs("c"), play.runs("t00")) == (JobState.COMPLETED, ["COMPLETED"], ["COMPLETED"])


def test_a_retry_goes_down_into_failed_sub_jobs() -> None:
    deep = a_subjob(
        a_task("one"), a_parallel(a_task("two"), a_task("three"), on_failure="continue"), name="deep", job_name="deeper"
    )
    play = Play(a_job(a_task("zero"), a_subjob(deep, name="task", var="x", subjob={"output": "done"})))
    play.run_to_the_end("two")
    assert [play.job.state, play.sub_job().state, play.sub_job("deeper").state] == [JobState.FAILED] * 3
    count = len(play.model.jobs)
    play.retry_failed()
    assert [play.job.state, play.sub_job().state, play.sub_job("deeper").state] == [JobState.RUNNING] * 3
    play.run_to_the_end()
    assert (play.job.state, play.context(), len(play.model.jobs)) == (JobState.COMPLETED, {"x": "done"}, count)
    assert (play.runs("one"), play.runs("two"), play.runs("three")) == (
        ["COMPLETED"],
        ["FAILED", "COMPLETED"],
        ["COMPLETED"],
    )


def test_a_retry_of_a_sub_job_lets_the_jobs_above_go_on() -> None:
    play = Play(a_job(a_parallel(a_subjob(a_task("inner")), a_task("beside"), on_failure="continue"), a_task("next")))
    play.run_to_the_end("inner")
    play.retry_failed(play.sub_job())
    assert (play.job.state, play.task("parallel").failures) == (JobState.RUNNING, 0)
    play.run_to_the_end()
    assert (play.job.state, play.runs("next")) == (JobState.COMPLETED, ["COMPLETED"])


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
    play.run_to_the_end()
    assert play.job.error == "1 of 5 have failed:\nitem 2 (t2): boom"
    assert (play.runs("t0"), play.runs("t1")) == (["FAILED", "COMPLETED"], ["FAILED", "COMPLETED"])


def test_failures_in_a_running_sub_job_are_run_again_too() -> None:
    play = Play(a_job(a_subjob(a_parallel(a_task("a"), a_task("b"), on_failure="continue"))))
    play.fail("a")
    play.retry_failed()
    play.run_to_the_end()
    assert play.job.state is JobState.COMPLETED


@pytest.mark.parametrize("is_done", [False, True])
def test_a_retry_is_refused_where_nothing_has_failed(is_done: bool) -> None:
    play = Play(a_job(a_parallel(a_task("a"), a_task("b"), on_failure="continue")))
    if is_done:
        play.run_to_the_end()
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
    play.run_to_the_end("t1")
    play.retry_failed()
    with pytest.raises(StateConflict, match="nothing in it has failed"):
        play.retry_failed()
    assert len(play.sent()) == 4


def test_progress_never_goes_back_in_a_retry() -> None:
    play = Play(a_job(numbered(4, on_failure="continue"), a_task("next")))
    play.run_to_the_end("t1")
    before = play.job.progress
    play.retry_failed()
    assert (play.job.progress, play.job.position) == (before, 1)
    play.run_to_the_end()
    assert play.job.progress == 100.0


def test_the_window_of_what_is_open_holds_without_a_concurrency() -> None:
    assert fanout.room(Play(a_job(numbered(5))).task("each")) == fanout.OPEN_WINDOW - 5


# One task


def test_one_failed_child_runs_again_and_the_others_stay_failed() -> None:
    play = Play(a_job(numbered(5, on_failure="continue")))
    play.run_to_the_end("t1", "t3", "t4")
    play.retry_task(play.task("t3"))
    assert play.named(TaskState.SCHEDULED) == ["t3"]
    play.run_to_the_end()
    assert play.job.error == "2 of 5 have failed:\nitem 1 (t1): boom\nitem 4 (t4): boom"


def test_one_failed_child_runs_again_at_once_while_the_job_runs_as_far_as_there_is_room() -> None:
    play = Play(a_job(numbered(4, concurrency=2, on_failure="continue")))
    play.fail("t0")
    play.fail("t1")
    play.retry_task(play.task("t1"))
    assert play.named(TaskState.SCHEDULED) == ["t2", "t3"]
    play.complete("t2")
    assert play.named(TaskState.SCHEDULED) == ["t3", "t1"]
    play.run_to_the_end()
    assert play.job.error == "1 of 4 have failed:\nitem 0 (t0): boom"


def test_with_one_failed_child_the_siblings_go_on_that_were_stopped_for_it() -> None:
    play = Play(a_job(a_parallel(a_task("a"), a_task("b"), a_task("c"))))
    play.complete("a")
    play.fail("b")
    play.retry_task(play.task("b"))
    assert sorted(play.named(TaskState.SCHEDULED)) == ["b", "c"]
    play.run_to_the_end()
    assert play.job.state is JobState.COMPLETED


def test_a_whole_composite_can_be_named_and_so_can_a_task_in_a_sub_job() -> None:
    play = Play(a_job(a_subjob(numbered(3, on_failure="continue"))))
    play.run_to_the_end("t0", "t2")
    play.retry_task(play.task("each"))
    assert play.named(TaskState.SCHEDULED) == ["t0", "t2"]
    play.run_to_the_end("t2")
    play.retry_task(play.task("t2"))
    play.run_to_the_end()
    assert play.job.state is JobState.COMPLETED


def test_after_a_cancel_in_the_midst_of_a_retry_all_that_is_left_can_be_run_again() -> None:
    play = Play(a_job(numbered(6, concurrency=1, on_failure="continue")))
    play.run_to_the_end("t1", "t3", "t5")
    play.retry_failed()
    play.fail("t1")
    play.cancel()
    play.retry_task(play.task("t3"))
    play.run_to_the_end()
    assert play.job.state is JobState.COMPLETED


@pytest.mark.parametrize("twice", [True, False])
def test_a_task_that_was_run_again_since_is_refused(twice: bool) -> None:
    play = Play(a_job(numbered(3, on_failure="continue")))
    play.run_to_the_end("t1")
    first = play.task("t1")
    play.retry_task(first)
    if not twice:
        play.run_to_the_end("t1")
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
