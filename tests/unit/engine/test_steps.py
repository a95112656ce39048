"""Steps one after the other: order, defaults, results, conditions."""

from __future__ import annotations

import pytest

from tests.support.builders import a_job, a_parallel, a_subjob, a_task, an_each, report_of
from tests.support.engine_play import Play
from tork.job import Defaults, JobState
from tork.task import Limits, Retry, TaskDefinition, TaskState

DEFAULTS = Defaults(retry=Retry(limit=2), limits=Limits(cpus="2", memory="1g"), timeout="5m", queue="slow", priority=4)


def test_tasks_run_one_after_the_other() -> None:
    play = Play(a_job(a_task("a"), a_task("b"), a_task("c")))
    assert list(play.states()) == ["a"]
    play.complete("a")
    assert play.states() == {"a": "COMPLETED", "b": "SCHEDULED"}
    play.complete("b", "c")
    assert play.sent() == ["a", "b", "c"]
    assert [play.task(name).position for name in "abc"] == [1, 2, 3]
    assert play.job.state is JobState.COMPLETED


def test_a_task_is_evaluated_with_the_context_of_its_turn() -> None:
    play = Play(
        a_job(a_task("a", var="x"), a_task("b", env={"X": "{{ tasks.x }}", "Y": "{{ tasks.later }}"}), a_task("c"))
    )
    play.complete("a", result="one")
    assert play.spec("b").env == {"X": "one", "Y": ""}


def test_the_definition_of_a_job_stays_as_it_was() -> None:
    definition = a_job(a_task("a {{ inputs.x }}"), inputs={"x": "1"})
    play = Play(definition)
    play.complete("a 1")
    assert play.model.definitions["job"] == definition


def test_defaults_fill_what_a_task_leaves_unset() -> None:
    play = Play(a_job(a_task("a"), defaults=DEFAULTS))
    spec = play.spec("a")
    assert (spec.limits, spec.timeout, spec.queue, spec.priority) == (DEFAULTS.limits, "5m", "slow", 4)
    assert spec.retry == play.task("a").retry == Retry(limit=2)
    assert (play.task("a").queue, play.task("a").priority) == ("slow", 4)


def test_defaults_leave_what_a_task_says_itself() -> None:
    own = a_task("a", retry=Retry(limit=1), limits=Limits(cpus="1"), timeout="1s", queue="fast", priority=9)
    play = Play(a_job(own, defaults=DEFAULTS))
    spec = play.spec("a")
    assert (spec.retry, spec.timeout, spec.queue, spec.priority) == (Retry(limit=1), "1s", "fast", 9)
    assert spec.limits == Limits(cpus="1", memory="1g")


def test_defaults_without_a_field_leave_it_unset() -> None:
    play = Play(a_job(a_task("a"), defaults=Defaults(timeout="1s")))
    spec = play.spec("a")
    assert (spec.timeout, spec.retry, spec.limits, spec.queue, play.task("a").queue) == (
        "1s",
        None,
        None,
        "",
        "default",
    )


@pytest.mark.parametrize(
    "composite",
    [
        pytest.param(a_parallel(a_task("child"), name="parent"), id="parallel"),
        pytest.param(an_each("{{ [1] }}", a_task("child"), name="parent"), id="each"),
    ],
)
def test_defaults_reach_children_but_not_their_parent(composite: TaskDefinition) -> None:
    play = Play(a_job(composite, defaults=DEFAULTS))
    assert (play.spec("child").timeout, play.task("child").queue) == ("5m", "slow")
    assert (play.spec("parent").timeout, play.task("parent").queue, play.task("parent").retry) == ("", "", None)


def test_defaults_do_not_reach_sub_jobs() -> None:
    play = Play(a_job(a_subjob(a_task("child")), defaults=DEFAULTS))
    assert (play.spec("child").timeout, play.task("child").queue, play.task("child").retry) == ("", "default", None)


def test_defaults_hold_for_later_tasks_and_restarts() -> None:
    play = Play(a_job(a_task("a"), a_task("b"), defaults=Defaults(queue="slow")))
    play.complete("a")
    play.fail("b")
    play.restart()
    assert [task.queue for task in play.instances("b")] == ["slow", "slow"]


def test_a_result_is_kept_and_readable_under_its_var() -> None:
    play = Play(a_job(a_task("a", var="x"), a_task("b")))
    play.complete("a", result="line 1\nline\0 2")
    assert play.task("a").result == "line 1\nline 2"
    assert play.context() == {"x": "line 1\nline 2"}


def test_a_result_without_a_var_is_kept_but_not_readable() -> None:
    play = Play(a_job(a_task("a"), a_task("b")))
    play.complete("a", result="out")
    assert (play.task("a").result, play.context()) == ("out", {})


def test_an_empty_result_leaves_what_was_there() -> None:
    play = Play(a_job(a_task("a", var="x"), a_task("b", var="x"), a_task("c")))
    play.complete("a", result="first")
    play.complete("b", result="\0")
    assert play.context() == {"x": "first"}


def test_the_last_writer_of_a_var_wins() -> None:
    play = Play(a_job(a_task("a", var="x"), a_task("b", var="x"), output="{{ tasks.x }}"))
    play.complete("a", result="first")
    play.complete("b", result="second")
    assert play.job.result == "second"


def test_a_skipped_task_sets_no_result() -> None:
    play = Play(a_job(a_task("a", var="x", if_="false"), a_task("b", env={"X": "{{ tasks.x }}"})))
    assert play.spec("b").env == {"X": ""}
    assert play.context() == {}


def test_a_condition_sees_earlier_results() -> None:
    play = Play(a_job(a_task("a", var="go"), a_task("b", if_="{{ tasks.go == 'yes' }}"), a_task("c")))
    play.complete("a", result="no")
    assert play.states() == {"a": "COMPLETED", "b": "SKIPPED", "c": "SCHEDULED"}


def test_a_skipped_child_counts_as_done() -> None:
    play = Play(a_job(a_parallel(a_task("a", if_="false"), a_task("b")), a_task("next")))
    assert (play.task("parallel").completions, play.task("parallel").progress) == (1, 50.0)
    play.complete("b")
    assert play.states() == {"parallel": "COMPLETED", "a": "SKIPPED", "b": "COMPLETED", "next": "SCHEDULED"}


@pytest.mark.parametrize(
    "composite",
    [
        pytest.param(a_parallel(a_task("x", if_="false"), a_task("y", if_="false")), id="parallel"),
        pytest.param(an_each("{{ sequence(0,700) }}", a_task("x", if_="false"), concurrency=1), id="each"),
        pytest.param(a_subjob(a_task("x", if_="false")), id="subjob"),
    ],
)
def test_a_composite_with_only_skipped_children_is_done(composite: TaskDefinition) -> None:
    play = Play(a_job(composite))
    assert play.job.state is JobState.COMPLETED
    assert play.task(composite.name).state is TaskState.COMPLETED


def test_chains_of_any_length_need_no_recursion() -> None:
    step = a_parallel(a_task("x", if_="false"))
    play = Play(a_job(*[step] * 700))
    assert (play.job.state, play.job.position) == (JobState.COMPLETED, 701)


def test_a_result_of_the_same_batch_is_readable() -> None:
    play = Play(a_job(a_parallel(a_task("a", var="x"), a_task("b")), a_task("next", cmd=["{{ tasks.x }}"])))
    play.handle(report_of(play.task("a"), result="1"), report_of(play.task("b")))
    assert play.spec("next").cmd == ["1"]
