"""One test for each way that a job's state changes."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.support.builders import START, a_job, a_parallel, a_subjob, a_task, an_each
from tests.support.engine_play import Play
from tork.errors import StateConflict
from tork.job import JobDefinition, JobState
from tork.task import AutoDelete, TaskState
from torkd.engine.changes import CreateJob, UpdateJob
from torkd.engine.events import EventFailed, JobSubmitted


def test_a_submitted_job_begins_pending_and_is_scheduled_with_its_first_task() -> None:
    play = Play(a_job(a_task("first"), a_task("second")))
    states = [change.row.state for change in play.last.changes[0] if isinstance(change, CreateJob | UpdateJob)]
    assert states == [JobState.PENDING, JobState.SCHEDULED]
    assert (play.job.state, play.job.position, play.job.task_count) == (JobState.SCHEDULED, 1, 2)
    assert (play.job.created_at, play.job.started_at, play.job.created_by) == (START, START, "ann")
    assert (play.job.root_id, play.job.parent_job_id, play.job.version) == ("job", None, 1)
    assert play.states() == {"first": "SCHEDULED"}


def test_a_job_that_is_submitted_twice_starts_once() -> None:
    play = Play(a_job())
    again = play.handle(JobSubmitted(job_id="job", definition=a_job(), created_by="ann"))
    assert again.changes == [[]]
    assert len(play.model.tasks) == 1


def test_a_job_runs_when_its_first_regular_task_has_started() -> None:
    play = Play(a_job())
    play.claim("only")
    assert play.job.state is JobState.RUNNING


def test_a_job_runs_when_a_child_of_its_first_task_has_started() -> None:
    play = Play(a_job(an_each("{{ sequence(0,2) }}")))
    assert play.states()["each"] == "RUNNING"
    play.claim("item 0")
    assert play.job.state is JobState.RUNNING


def test_a_job_that_waits_for_a_sub_job_stays_scheduled() -> None:
    play = Play(a_job(a_subjob(a_task("inner"))))
    play.claim("inner")
    assert (play.job.state, play.sub_job().state) == (JobState.SCHEDULED, JobState.RUNNING)


def test_a_job_completes_after_its_last_task() -> None:
    play = Play(a_job(a_task("a", var="x"), a_task("b"), output="got {{ tasks.x }}"))
    play.complete("a", result="42")
    play.model.pass_time(timedelta(seconds=5))
    play.complete("b")
    assert (play.job.state, play.job.result, play.job.position) == (JobState.COMPLETED, "got 42", 3)
    assert (play.job.completed_at, play.job.failed_at) == (START + timedelta(seconds=5), None)
    assert (play.job.progress, play.job.delete_at) == (100.0, None)


def test_a_job_whose_tasks_are_all_skipped_completes_at_once() -> None:
    play = Play(a_job(a_task("a", if_="false"), a_task("b", if_="{{ 1 == 2 }}"), output="done"))
    assert (play.job.state, play.job.result, play.job.position) == (JobState.COMPLETED, "done", 3)
    assert play.states() == {"a": "SKIPPED", "b": "SKIPPED"}
    assert play.sent() == []


def test_a_completed_job_is_deleted_after_its_time_and_other_ends_are_not() -> None:
    definition = a_job(auto_delete=AutoDelete(after="24h"))
    completed, failed = Play(definition), Play(definition)
    completed.complete("only")
    failed.fail("only")
    assert completed.job.delete_at == START + timedelta(hours=24)
    assert failed.job.delete_at is None


def test_a_job_fails_with_the_error_of_its_task() -> None:
    play = Play(a_job(a_task("a"), a_task("b")))
    play.claim("a")
    play.fail("a", "exit code 3")
    assert (play.job.state, play.job.error, play.job.failed_at) == (JobState.FAILED, "exit code 3", START)
    assert (play.job.position, play.job.completed_at) == (1, None)
    assert play.states() == {"a": "FAILED"}


@pytest.mark.parametrize(
    "job",
    [
        pytest.param(a_job(a_task("a", image="{{ nope }}"), a_task("b")), id="of the first task"),
        pytest.param(
            a_job(a_parallel(a_task("a", image="{{ nope }}"), a_task("b"))), id="of a child of the first task"
        ),
        pytest.param(a_job(an_each("{{ nope }}")), id="of the list of an each"),
        pytest.param(a_job(a_subjob(a_task("a", image="{{ nope }}"))), id="in a sub-job"),
        pytest.param(a_job(a_subjob(a_task("a"), subjob={"inputs": {"x": "{{ nope }}"}})), id="of a sub-job's input"),
    ],
)
def test_a_template_error_fails_the_job_at_once(job: JobDefinition) -> None:
    play = Play(job)
    assert play.job.state is JobState.FAILED
    assert "unknown name nope" in (play.job.error or "")
    assert play.sent() == []
    assert not any(task.state.is_active for task in play.model.tasks.values())


def test_a_template_error_of_a_later_task_fails_the_job_and_the_task_never_runs() -> None:
    play = Play(a_job(a_task("a"), a_task("b", cmd=["{{ int(tasks.x) }}"])))
    play.complete("a")
    assert (play.job.state, play.job.position) == (JobState.FAILED, 2)
    assert play.states() == {"a": "COMPLETED", "b": "FAILED"}
    assert play.sent() == ["a"]
    assert play.task("b").error == play.job.error


def test_an_output_error_fails_the_job_which_can_not_be_restarted() -> None:
    play = Play(a_job(output="{{ nope }}"))
    play.complete("only")
    assert play.job.state is JobState.FAILED
    assert "unknown name nope" in (play.job.error or "")
    assert play.task("only").state is TaskState.COMPLETED
    with pytest.raises(StateConflict, match=r"^job has no more tasks to run$"):
        play.restart()


def test_an_event_that_can_not_be_handled_fails_its_job_with_the_reason() -> None:
    play = Play(a_job(a_parallel(a_task("a"), a_task("b"))))
    task = play.task("a")
    event = EventFailed(task_id=task.id, job_id="job", root_id="job", reason="the message was broken")
    play.handle(event)
    assert (play.job.state, play.job.error) == (JobState.FAILED, "the message was broken")
    assert play.states() == {"parallel": "CANCELLED", "a": "FAILED", "b": "CANCELLED"}
    assert play.handle(event).changes == [[]]


def test_an_event_that_can_not_be_handled_fails_the_job_although_its_task_has_ended() -> None:
    play = Play(a_job(a_task("a"), a_task("b")))
    done = play.task("a")
    play.complete("a")
    play.handle(EventFailed(task_id=done.id, job_id="job", root_id="job", reason="broken"))
    assert (play.job.state, play.job.error) == (JobState.FAILED, "broken")
    assert play.states() == {"a": "COMPLETED", "b": "CANCELLED"}


@pytest.mark.parametrize("claimed", [pytest.param(False, id="scheduled"), pytest.param(True, id="running")])
def test_a_job_is_cancelled_on_request(claimed: bool) -> None:
    play = Play(a_job())
    if claimed:
        play.claim("only")
    play.cancel()
    assert (play.job.state, play.job.failed_at, play.job.completed_at) == (JobState.CANCELLED, START, None)
    assert (play.task("only").state, play.task("only").failed_at) == (TaskState.CANCELLED, START)


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.CANCELLED])
def test_a_restarted_job_runs_again_from_where_it_stopped(state: JobState) -> None:
    play = Play(a_job(a_task("a", var="x"), a_task("b", env={"X": "{{ tasks.x }}"})))
    play.complete("a", result="kept")
    if state is JobState.FAILED:
        play.fail("b")
    else:
        play.cancel()
    play.model.pass_time(timedelta(minutes=1))
    play.restart()
    assert (play.job.state, play.job.position, play.job.failed_at, play.job.error) == (JobState.RUNNING, 2, None, "")
    assert play.job.started_at == START
    assert [task.state for task in play.instances("b")] == [TaskState(state), TaskState.SCHEDULED]
    assert play.spec("b").env == {"X": "kept"}
    play.complete("b")
    assert play.job.state is JobState.COMPLETED


def test_a_job_without_tasks_completes_at_once() -> None:
    play = Play(a_job(a_subjob()))
    assert (play.job.state, play.sub_job().state) == (JobState.COMPLETED, JobState.COMPLETED)
