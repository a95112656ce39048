"""Trying again after a failure."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.support.builders import START, a_job, a_parallel, a_task, an_each
from tests.support.engine_play import Play
from tork.job import Defaults, JobState
from tork.task import Retry, TaskState
from torkd.engine.tasks import retry_delay


def test_a_failed_task_is_tried_again_in_a_new_instance() -> None:
    play = Play(a_job(a_task("a", retry=Retry(limit=2), var="x", queue="q", priority=3)))
    play.claim("a")
    play.fail("a", "first")
    first, second = play.instances("a")
    assert (first.state, first.error, first.attempts) == (TaskState.FAILED, "first", 0)
    assert (second.state, second.attempts, second.dispatch, second.run_id) == (TaskState.PENDING, 1, 0, None)
    assert (second.due_at, second.created_at) == (START + timedelta(seconds=1), START)
    for name in ("job_id", "root_id", "parent_id", "position", "var", "queue", "priority", "retry", "spec", "kind"):
        assert getattr(first, name) == getattr(second, name)
    assert play.job.state is JobState.RUNNING


def test_a_retry_is_handed_out_when_it_is_due_and_only_once() -> None:
    play = Play(a_job(a_task("a", retry=Retry(limit=1))))
    play.fail("a")
    assert play.sent() == ["a"]
    play.retry("a")
    task = play.task("a")
    assert (task.state, task.dispatch, task.due_at) == (TaskState.SCHEDULED, 1, None)
    assert play.retry("a").changes == [[]]
    assert play.sent() == ["a", "a"]


def test_a_limit_of_two_gives_three_runs() -> None:
    play = Play(a_job(a_task("a", retry=Retry(limit=2))))
    for number in range(3):
        play.fail("a", f"boom {number}")
        if number < 2:
            play.retry("a")
    assert (play.job.state, play.job.error) == (JobState.FAILED, "boom 2")
    assert [task.attempts for task in play.instances("a")] == [0, 1, 2]


def test_a_task_without_a_policy_is_not_tried_again() -> None:
    play = Play(a_job())
    play.fail("only")
    assert (play.job.state, len(play.model.tasks)) == (JobState.FAILED, 1)


def test_the_policy_may_come_from_the_defaults() -> None:
    play = Play(a_job(defaults=Defaults(retry=Retry(limit=1, initial_delay="10s"))))
    play.fail("only")
    assert play.task("only").due_at == START + timedelta(seconds=10)


def test_a_retry_without_a_delay_is_handed_out_at_once() -> None:
    play = Play(a_job(a_task("a", retry=Retry(limit=1, initial_delay="0s"))))
    play.fail("a")
    assert (play.task("a").state, play.task("a").due_at) == (TaskState.SCHEDULED, None)
    assert play.sent() == ["a", "a"]


def test_a_retry_that_succeeds_lets_the_job_go_on() -> None:
    play = Play(a_job(a_task("a", retry=Retry(limit=1), var="x"), a_task("b", cmd=["{{ tasks.x }}"])))
    play.fail("a")
    play.retry("a")
    play.complete("a", result="ok")
    assert play.spec("b").cmd == ["ok"]


def test_a_retried_child_leaves_the_counters_of_its_parent() -> None:
    play = Play(a_job(a_parallel(a_task("a", retry=Retry(limit=1)), a_task("b"))))
    play.fail("a")
    parent = play.task("parallel")
    assert (parent.created, parent.released, parent.completions) == (2, 2, 0)
    play.retry("a")
    play.complete("b", "a")
    assert play.job.state is JobState.COMPLETED


def test_a_retry_in_an_each_runs_the_same_element() -> None:
    play = Play(a_job(an_each("{{ ['x','y'] }}", a_task("t", cmd=["{{ item.value }}"], retry=Retry(limit=1)))))
    play.fail("t")
    play.retry("t")
    assert play.spec("t").cmd == ["y"]


@pytest.mark.parametrize(
    ("policy", "seconds"),
    [
        (Retry(limit=3), [1, 2, 4]),
        (Retry(limit=3, initial_delay="500ms"), [0.5, 1, 2]),
        (Retry(limit=3, initial_delay="2s", scaling_factor=3), [2, 6, 18]),
        (Retry(limit=3, initial_delay="2s", scaling_factor=1), [2, 2, 2]),
        (Retry(limit=3, initial_delay="1m", scaling_factor=0.5), [60, 30, 15]),
        (Retry(limit=10, initial_delay="5m", scaling_factor=10), [300, 3_000, 30_000, 300_000, 604_800, 604_800]),
        (Retry(limit=3, initial_delay="soon"), [1, 2, 4]),
        (Retry(limit=3, initial_delay="-1s"), [0, 0, 0]),
    ],
    ids=["defaults", "initial delay", "factor", "constant", "shrinking", "at most a week", "nonsense", "negative"],
)
def test_the_wait_grows_from_one_retry_to_the_next(policy: Retry, seconds: list[float]) -> None:
    assert [retry_delay(policy, attempt + 1).total_seconds() for attempt in range(len(seconds))] == seconds
