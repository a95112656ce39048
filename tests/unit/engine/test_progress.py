"""How far a job is."""

from __future__ import annotations

import math

import pytest

from tests.support.builders import a_job, a_parallel, a_subjob, a_task, an_each, progress_of, report_of
from tests.support.engine_play import Play
from tork.job import JobState
from tork.task import Retry, TaskState


def test_the_progress_of_a_job_follows_its_tasks() -> None:
    play = Play(a_job(a_task("a"), a_task("b"), a_task("c")))
    assert play.job.progress == 0
    play.claim("a")
    play.progress("a", 50)
    assert (play.task("a").progress, play.job.progress) == (50, 16.67)
    play.complete("a")
    assert play.job.progress == 33.33
    play.claim("b")
    play.progress("b", 10)
    assert play.job.progress == 36.67
    play.complete("b", "c")
    assert play.job.progress == 100


@pytest.mark.parametrize(
    ("told", "shown"), [(-5, 0), (0, 0), (12.345, 12.345), (100, 100), (125, 100), (math.nan, 0), (math.inf, 100)]
)
def test_what_a_task_tells_is_clamped(told: float, shown: float) -> None:
    play = Play(a_job())
    play.claim("only")
    play.progress("only", told)
    assert play.task("only").progress == shown
    assert play.job.progress == round(shown, 2)


def test_a_report_that_comes_late_or_twice_does_not_set_a_task_back() -> None:
    play = Play(a_job())
    play.claim("only")
    play.progress("only", 60)
    assert play.progress("only", 60).changes == [[]]
    assert play.progress("only", 20).changes == [[]]
    assert (play.task("only").progress, play.job.progress) == (60, 60)


def test_the_progress_of_a_job_never_goes_back() -> None:
    play = Play(a_job(a_task("a", retry=Retry(limit=1, initial_delay="0s")), a_task("b")))
    play.claim("a")
    play.progress("a", 80)
    play.lose("a")
    assert (play.task("a").progress, play.job.progress) == (0, 40)
    play.claim("a")
    play.progress("a", 10)
    assert (play.task("a").progress, play.job.progress) == (10, 40)
    play.fail("a")
    play.claim("a")
    play.progress("a", 90)
    assert play.job.progress == 45


def test_children_weigh_as_much_as_their_share() -> None:
    play = Play(a_job(an_each("{{ sequence(0,4) }}"), a_task("next")))
    play.claim("item 0")
    play.progress("item 0", 100)
    assert (play.task("item 0").progress, play.task("each").progress, play.job.progress) == (100, 0, 0)
    play.complete("item 0")
    assert (play.task("each").progress, play.job.progress) == (25, 12.5)
    play.complete("item 1", "item 2", "item 3")
    assert (play.task("each").progress, play.job.progress) == (100, 50)


def test_a_third_of_the_children_is_rounded() -> None:
    play = Play(a_job(a_parallel(a_task("a"), a_task("b"), a_task("c"))))
    play.complete("b")
    assert (play.task("parallel").progress, play.job.progress) == (33.33, 33.33)


def test_nested_children_move_their_own_parent_only() -> None:
    play = Play(a_job(a_parallel(a_parallel(a_task("a"), a_task("b"), name="inner"), a_task("c"))))
    play.complete("a")
    assert (play.task("inner").progress, play.task("parallel").progress, play.job.progress) == (50, 0, 0)
    play.complete("b")
    assert (play.task("inner").progress, play.task("parallel").progress, play.job.progress) == (100, 50, 50)


def test_a_sub_job_has_a_progress_of_its_own() -> None:
    play = Play(a_job(a_subjob(a_task("a"), a_task("b")), a_task("c")))
    play.complete("a")
    assert (play.sub_job().progress, play.job.progress) == (50, 0)
    play.complete("b")
    assert (play.sub_job().progress, play.job.progress) == (100, 50)


def test_progress_after_the_end_changes_nothing() -> None:
    play = Play(a_job(a_task("a"), a_task("b")))
    play.claim("a")
    late = progress_of(play.task("a"), 99)
    play.complete("a")
    assert play.handle(late).changes == [[]]
    assert play.job.progress == 50


@pytest.mark.parametrize("change", [{"run_id": "other"}, {"dispatch": 7}], ids=["another run", "another hand-out"])
def test_only_the_run_that_owns_the_task_tells_its_progress(change: dict[str, object]) -> None:
    play = Play(a_job())
    play.claim("only")
    assert play.progress("only", 50, **change).changes == [[]]


def test_progress_before_the_claim_or_of_a_task_that_is_gone_is_dropped() -> None:
    play = Play(a_job())
    assert play.progress("only", 50).changes == [[]]
    event = progress_of(play.task("only"), 50)
    play.model.tasks.clear()
    assert play.handle(event).changes == [[]]


def test_progress_in_the_batch_of_the_end_does_not_reach_the_next_step() -> None:
    play = Play(a_job(a_task("a"), a_task("b")))
    play.claim("a")
    task = play.task("a")
    play.handle(report_of(task), progress_of(task, 90))
    assert (play.job.progress, play.job.state, play.task("b").state) == (50, JobState.RUNNING, TaskState.SCHEDULED)
