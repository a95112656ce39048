"""What the doctor found without anything that could carry it on: it goes on, ends, or has gone on already."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tests.support.builders import a_job, a_parallel, a_subjob, a_task, claim_of
from tests.support.engine_play import Play
from tork.job import JobState
from tork.task import TaskState
from torkd.engine.events import JobStalled, TaskStalled


def force(play: Play, name: str, state: TaskState) -> None:
    """The task has that state, and nothing followed from it."""
    task = play.task(name)
    play.model.tasks[task.id] = replace(task, state=state)


def stalled_job(play: Play, name: str = "", *, age: int = 0, error: str = "") -> JobStalled:
    task_id = play.task(name).id if name else ""
    return JobStalled(job_id="job", root_id="job", version=play.job.version - age, task_id=task_id, error=error)


def stalled_task(play: Play, name: str, **fields: object) -> TaskStalled:
    task = play.task(name)
    base = {"task_id": task.id, "job_id": task.job_id, "root_id": task.root_id, "version": play.job.version}
    return TaskStalled(**base | {"is_done": True} | fields)  # type: ignore[arg-type] # each test knows its fields


@pytest.mark.parametrize("state", [TaskState.COMPLETED, TaskState.SKIPPED])
def test_a_job_goes_on_with_the_step_after_the_one_that_ended(state: TaskState) -> None:
    play = Play(a_job(a_task("a"), a_task("b")))
    force(play, "a", state)
    play.handle(stalled_job(play, "a"))
    assert play.states() == {"a": state, "b": "SCHEDULED"}
    play.run_all()
    assert play.job.state is JobState.COMPLETED


def test_a_job_whose_last_task_has_ended_completes() -> None:
    play = Play(a_job(a_task("a"), output="done"))
    force(play, "a", TaskState.COMPLETED)
    play.handle(stalled_job(play, "a"))
    assert (play.job.state, play.job.result) == (JobState.COMPLETED, "done")


def test_a_job_whose_task_has_failed_fails_with_its_error() -> None:
    play = Play(a_job(a_task("a"), a_task("b")))
    force(play, "a", TaskState.FAILED)
    play.handle(stalled_job(play, "a", error="boom"))
    assert (play.job.state, play.job.error) == (JobState.FAILED, "boom")


def test_a_job_whose_task_is_gone_or_was_cancelled_gets_a_new_one() -> None:
    play = Play(a_job(a_task("a")))
    force(play, "a", TaskState.CANCELLED)
    play.handle(stalled_job(play, "a"))
    assert [task.state for task in play.instances("a")] == [TaskState.CANCELLED, TaskState.SCHEDULED]
    play.model.tasks.clear()
    play.handle(stalled_job(play))
    assert play.states() == {"a": "SCHEDULED"}


def test_a_failed_sub_job_takes_the_task_that_waits_for_it_along() -> None:
    play = Play(a_job(a_subjob(a_task("inner"))))
    sub = play.sub_job()
    force(play, "inner", TaskState.FAILED)
    inner = play.task("inner")
    play.handle(JobStalled(job_id=sub.id, root_id="job", version=sub.version, task_id=inner.id, error="boom"))
    assert (play.job.state, play.job.error) == (JobState.FAILED, "boom")


def test_a_job_that_has_gone_on_meanwhile_is_left_alone() -> None:
    play = Play(a_job(a_task("a"), a_task("b")))
    seen = stalled_job(play, "a")
    play.handle(claim_of(play.task("a")))
    before = play.model.copy()
    assert play.handle(seen).changes == [[]]
    assert (play.model.jobs, play.model.tasks) == (before.jobs, before.tasks)


def test_the_same_repair_twice_changes_nothing_the_second_time() -> None:
    play = Play(a_job(a_task("a"), a_task("b")))
    force(play, "a", TaskState.COMPLETED)
    repair = stalled_job(play, "a")
    play.handle(repair)
    assert play.handle(repair).changes == [[]]
    assert len(play.instances("b")) == 1


def test_a_parent_whose_children_are_done_completes() -> None:
    play = Play(a_job(a_parallel(a_task("a"), a_task("b")), a_task("next")))
    force(play, "a", TaskState.COMPLETED)
    force(play, "b", TaskState.COMPLETED)
    play.handle(stalled_task(play, "parallel"))
    assert play.states()["parallel"] == "COMPLETED"
    assert play.states()["next"] == "SCHEDULED"


def test_a_parent_whose_children_can_not_be_done_fails_with_the_reason() -> None:
    play = Play(a_job(a_parallel(a_task("a"), a_task("b"))))
    play.handle(stalled_task(play, "parallel", is_done=False, error="no child is left"))
    assert (play.job.state, play.job.error) == (JobState.FAILED, "no child is left")


def test_a_task_gets_the_result_of_its_sub_job() -> None:
    play = Play(a_job(a_subjob(a_task("inner"), var="out"), a_task("next")))
    play.handle(stalled_task(play, "subjob", result="42"))
    assert play.context() == {"out": "42"}
    assert play.states()["next"] == "SCHEDULED"


def test_a_task_that_has_ended_meanwhile_is_left_alone() -> None:
    play = Play(a_job(a_parallel(a_task("a"))))
    play.complete("a")
    assert play.handle(stalled_task(play, "parallel", is_done=False, error="x")).changes == [[]]
    assert play.job.state is JobState.COMPLETED
