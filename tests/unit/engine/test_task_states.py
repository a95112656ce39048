"""One test for each way that a task's state changes."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.support.builders import RUN_END, RUN_START, START, a_job, a_parallel, a_subjob, a_task, an_each
from tests.support.engine_play import Play
from tork.job import JobState
from tork.task import COORDINATOR_QUEUES, Retry, TaskDefinition, TaskState
from torkd.engine.changes import CreateTask, UpdateTask

LATER = START + timedelta(minutes=1)


def states_of(play: Play, name: str) -> list[TaskState]:
    """The states that the last batch led a task through."""
    rows = [
        change.row for changes in play.last.changes for change in changes if isinstance(change, CreateTask | UpdateTask)
    ]
    states = [row.state for row in rows if row.name == name]
    return [state for number, state in enumerate(states) if number == 0 or states[number - 1] is not state]


def test_a_task_begins_pending_when_its_turn_comes_and_is_scheduled() -> None:
    play = Play(a_job(a_task("a"), a_task("b")))
    play.model.pass_time(LATER - START)
    play.complete("a")
    task = play.task("b")
    assert states_of(play, "b") == [TaskState.PENDING, TaskState.SCHEDULED]
    assert (task.created_at, task.scheduled_at, task.started_at, task.completed_at) == (LATER, LATER, None, None)
    assert (task.position, task.dispatch, task.queue, task.version) == (2, 1, "default", play.job.version)
    assert play.model.outbox[-1] == (task.id, 1)


def test_children_beyond_the_concurrency_are_created_only() -> None:
    play = Play(a_job(an_each("{{ sequence(0,4) }}", concurrency=2)))
    assert play.named(TaskState.SCHEDULED) == ["item 0", "item 1"]
    assert play.named(TaskState.CREATED) == ["item 2", "item 3"]


def test_a_created_child_is_pending_and_scheduled_when_a_sibling_completes() -> None:
    play = Play(a_job(an_each("{{ sequence(0,3) }}", concurrency=1)))
    play.complete("item 0")
    assert states_of(play, "item 1") == [TaskState.PENDING, TaskState.SCHEDULED]
    assert play.named(TaskState.CREATED) == ["item 2"]


def test_a_task_whose_template_fails_fails_with_the_error() -> None:
    play = Play(a_job(a_task("a"), a_task("b", queue="{{ nope }}")))
    play.complete("a")
    assert states_of(play, "b") == [TaskState.PENDING, TaskState.FAILED]
    assert (play.task("b").failed_at, play.task("b").scheduled_at) == (START, None)
    assert "unknown name nope" in (play.task("b").error or "")


def test_a_child_that_is_held_back_fails_at_once_when_its_template_fails() -> None:
    job = a_job(an_each("{{ sequence(0,3) }}", a_task("t", image="{{ item.value == 2 ? nope : 'x' }}"), concurrency=1))
    play = Play(job)
    assert play.job.state is JobState.FAILED
    assert not any(task.state.is_active for task in play.model.tasks.values())


@pytest.mark.parametrize(
    "condition", ["false", " false\n", "{{ false }}", "{{ inputs.x == 'y' }}", "{{ 'false' }}", " {{ 1 > 2 }} "]
)
def test_a_task_is_skipped_when_its_condition_comes_out_as_false(condition: str) -> None:
    play = Play(a_job(a_task("a", if_=condition), a_task("b")))
    task = play.task("a")
    assert states_of(play, "a") == [TaskState.PENDING, TaskState.SKIPPED]
    assert (task.scheduled_at, task.started_at, task.completed_at, task.failed_at) == (START, START, START, None)
    assert play.sent() == ["b"]


@pytest.mark.parametrize("condition", ["", "true", "0", "False", "no", "inputs.x == 'y'", "{{ '' }}", "{{ 0 }}"])
def test_a_task_runs_when_its_condition_is_anything_else(condition: str) -> None:
    assert Play(a_job(a_task("a", if_=condition))).states() == {"a": "SCHEDULED"}


@pytest.mark.parametrize(
    "task",
    [
        pytest.param(a_parallel(a_task("child"), name="parent"), id="parallel"),
        pytest.param(an_each("{{ [1] }}", a_task("child"), name="parent"), id="each"),
        pytest.param(a_subjob(a_task("child"), name="parent"), id="subjob"),
    ],
)
def test_a_composite_runs_without_being_handed_out(task: TaskDefinition) -> None:
    play = Play(a_job(task))
    parent = play.task("parent")
    assert states_of(play, "parent") == [TaskState.PENDING, TaskState.RUNNING]
    assert parent.scheduled_at == parent.started_at == START
    assert play.sent() == ["child"]


@pytest.mark.parametrize(
    "task",
    [
        pytest.param(a_parallel(a_task("child"), name="parent", if_="false"), id="parallel"),
        pytest.param(an_each("{{ nope }}", a_task("child"), name="parent", if_="false"), id="each"),
        pytest.param(a_subjob(a_task("child"), name="parent", if_="false"), id="subjob"),
    ],
)
def test_a_skipped_composite_does_not_start_anything(task: TaskDefinition) -> None:
    play = Play(a_job(task, a_task("next")))
    assert play.states() == {"parent": "SKIPPED", "next": "SCHEDULED"}
    assert len(play.model.jobs) == 1


def test_a_claimed_task_runs() -> None:
    play = Play(a_job())
    play.claim("only", run_id="r1", node_id="n1")
    task = play.task("only")
    assert (task.state, task.started_at) == (TaskState.RUNNING, RUN_START)
    assert (task.run_id, task.node_id, task.lease_id) == ("r1", "n1", "lease of n1")


@pytest.mark.parametrize("claimed", [pytest.param(True, id="claimed"), pytest.param(False, id="report first")])
def test_a_reported_task_is_completed(claimed: bool) -> None:
    play = Play(a_job())
    if claimed:
        play.claim("only")
    play.complete("only", result="out", log_parts=3)
    task = play.task("only")
    assert (task.state, task.result, task.progress, task.log_parts) == (TaskState.COMPLETED, "out", 100.0, 3)
    assert (task.started_at, task.completed_at, task.failed_at) == (RUN_START, RUN_END, None)
    assert task.node_id == "node-1"


@pytest.mark.parametrize("claimed", [pytest.param(True, id="claimed"), pytest.param(False, id="report first")])
def test_a_task_fails_with_the_error_of_its_run(claimed: bool) -> None:
    play = Play(a_job())
    if claimed:
        play.claim("only")
    play.fail("only", "exit code 1\0")
    task = play.task("only")
    assert (task.state, task.error, task.failed_at, task.completed_at) == (TaskState.FAILED, "exit code 1", START, None)


def test_a_failure_without_a_reason_still_has_an_error() -> None:
    play = Play(a_job())
    play.fail("only", "")
    assert play.task("only").error == play.job.error == "failed without saying why"


@pytest.mark.parametrize("queue", [*sorted(COORDINATOR_QUEUES), "x-node-1"])
@pytest.mark.parametrize("template", ["{}", "{{{{ '{}' }}}}"], ids=["as written", "as evaluated"])
def test_a_task_for_a_queue_of_the_engine_fails(queue: str, template: str) -> None:
    play = Play(a_job(a_task("a", queue=template.format(queue))))
    assert (play.job.state, play.sent()) == (JobState.FAILED, [])
    assert (
        play.task("a").error == f"queue '{queue}' is not for tasks: the engine uses it itself (any other name would do)"
    )


def test_every_active_state_is_cancelled_with_the_job() -> None:
    policy = Retry(limit=1, initial_delay="1m")
    children = (
        a_task("waits", retry=policy),
        a_task("runs"),
        a_task("handed out"),
        an_each("{{ [1,2] }}", concurrency=1),
    )
    play = Play(a_job(a_parallel(*children)))
    play.fail("waits")
    play.claim("runs", run_id="r2", node_id="n2")
    assert {task.state for task in play.model.tasks.values()} == {
        TaskState.FAILED,
        *[state for state in TaskState if state.is_active],
    }
    outcome = play.cancel()
    assert [task.state for task in play.model.tasks.values() if task.state is not TaskState.CANCELLED] == [
        TaskState.FAILED
    ]
    assert all(task.failed_at == START and task.due_at is None for task in play.model.tasks.values())
    assert [(order.kind, order.node_id, order.run_id) for order in outcome.orders] == [("stop", "n2", "r2")]
    assert {task.version for task in play.model.tasks.values() if task.state is TaskState.CANCELLED} == {
        play.job.version
    }
