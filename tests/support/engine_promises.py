"""What must hold in the datastore after every batch, whatever happened."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from msgspec.structs import replace

from tests.support.engine_model import EngineModel
from tork.task import TaskState
from torkd.engine.fanout import FAILURES_NAMED, OPEN_WINDOW
from torkd.engine.rows import JobRow, TaskKind, TaskRow
from torkd.engine.surgery import waits

DONE = {TaskState.COMPLETED, TaskState.SKIPPED}


def kept(before: EngineModel, after: EngineModel, *, restarted: bool) -> None:
    """Every promise, from one batch to the next."""
    for task_id, task in before.tasks.items():
        now = after.tasks[task_id]
        is_revived = restarted and task.kind is not TaskKind.REGULAR and task.state not in DONE
        assert task.state.is_active or now == task or is_revived, f"a task that had ended changed: {task} to {now}"
        assert now.dispatch >= task.dispatch
    for job_id, job in before.jobs.items():
        assert after.jobs[job_id].progress >= job.progress
        assert job.state.is_active or restarted or after.jobs[job_id] == job, f"a job that had ended changed: {job}"
    children: dict[str, list[TaskRow]] = defaultdict(list)
    top_level: dict[str, list[TaskRow]] = defaultdict(list)
    for task in after.tasks.values():
        if task.parent_id is None:
            top_level[task.job_id].append(task)
        else:
            children[task.parent_id].append(task)
    for task in after.tasks.values():
        _task_is_sound(after, task)
        if task.kind.has_children:
            _counters_are_right(task, children[task.id])
    for job in after.jobs.values():
        _job_is_sound(after, job, top_level[job.id])


def _task_is_sound(model: EngineModel, task: TaskRow) -> None:
    job = model.jobs[task.job_id]
    assert task.version <= job.version
    assert 0 <= task.progress <= 100
    assert task.redelivered <= 5
    if task.state.is_active:
        assert job.state.is_active, f"{task} is active below {job}"
        parent = model.tasks[task.parent_id] if task.parent_id else None
        assert parent is None or parent.state is TaskState.RUNNING
    ends = (task.completed_at is not None, task.failed_at is not None)
    assert ends == (task.state in DONE, task.state in {TaskState.FAILED, TaskState.CANCELLED}), f"wrong times: {task}"
    assert bool(task.error) == (task.state is TaskState.FAILED)
    assert task.reason is None or task.state in {TaskState.SKIPPED, TaskState.CREATED, TaskState.CANCELLED}
    assert task.redo_left == 0 or task.state in {
        TaskState.RUNNING,
        TaskState.CANCELLED,
        TaskState.FAILED,
        TaskState.SKIPPED,
    }


def _counters_are_right(parent: TaskRow, children: list[TaskRow]) -> None:
    places = {child.item_index for child in children}
    done = [child.item_index for child in children if child.state in DONE]
    failed = {child.item_index for child in _newest(children) if child.state is TaskState.FAILED}
    assert places == set(range(parent.created)), "children are made in order, without gaps"
    assert len(done) == len(set(done)) == parent.completions
    assert parent.completions + parent.failures + parent.redo_left <= parent.released <= parent.created <= parent.size
    if parent.state is TaskState.RUNNING:
        newest = _newest(children)
        left = [child for child in newest if child.state in {TaskState.FAILED, TaskState.CANCELLED}]
        assert len(left) == parent.failures + parent.redo_left, "what is neither done nor at work is counted"
        assert parent.goes_on or not parent.failures
        assert parent.redo_left <= sum(waits(parent, child) for child in newest), "all that is left is found again"
    at_work = {child.item_index for child in children if child.state.is_active and child.state is not TaskState.CREATED}
    assert len(at_work) <= (parent.concurrency or OPEN_WINDOW), "never more at a time than the concurrency"
    held_back = {child.item_index for child in children if child.state is TaskState.CREATED}
    assert all(place is not None and place >= parent.released for place in held_back)
    if parent.state is TaskState.COMPLETED:
        assert parent.completions == parent.size
    elif parent.state is TaskState.FAILED and parent.failures:
        assert parent.completions + parent.failures == parent.size, "all others have ended before it fails"
        assert parent.error
        assert parent.failures == len(failed)
        named = sorted(index for index in failed if index is not None)[:FAILURES_NAMED]
        assert all(f"item {index} " in parent.error for index in named if parent.kind is TaskKind.EACH)
    elif parent.state is TaskState.RUNNING:
        assert held_back == set(range(parent.released, parent.created))


def _newest(children: list[TaskRow]) -> list[TaskRow]:
    """The latest run of each child."""
    ordered = sorted(children, key=lambda child: (child.version, child.attempts))
    return list({child.item_index: child for child in ordered}.values())


def _job_is_sound(model: EngineModel, job: JobRow, top_level: list[TaskRow]) -> None:
    assert 0 <= job.progress <= 100
    active = [task for task in top_level if task.state.is_active]
    if job.state.is_active:
        assert [task.position for task in active] == [job.position], f"{job} has {active}"
        assert not job.error
        assert job.failed_at is None
    done = {task.position for task in top_level if task.state in DONE}
    assert done == set(range(1, job.position)), "every step before the position is done, and no other"
    if job.parent_task_id and job.state.is_active:
        assert model.tasks[job.parent_task_id].state is TaskState.RUNNING


def all_ended(model: EngineModel) -> None:
    """Nothing is active any more."""
    assert not [job for job in model.jobs.values() if job.state.is_active]
    assert not [task for task in model.tasks.values() if task.state.is_active]


def same_outcome(one: EngineModel, other: EngineModel) -> None:
    """Both hold the same, their versions aside."""
    for rows, others in ((one.jobs, other.jobs), (one.tasks, other.tasks)):
        mine, theirs = _without_versions(rows), _without_versions(others)
        assert mine.keys() == theirs.keys()
        for row_id, row in mine.items():
            assert row == theirs[row_id], f"{row} was {theirs[row_id]} one after the other"
    assert (one.contexts, one.items) == (other.contexts, other.items)
    assert {due.task_id for due in one.unfolding} == {due.task_id for due in other.unfolding}


def _without_versions(rows: dict[str, Any]) -> dict[str, Any]:
    return {row_id: _without_version(row) for row_id, row in rows.items()}


def _without_version(row: Any) -> Any:
    redo = getattr(row, "redo", None)
    return replace(row, version=0) if redo is None else replace(row, version=0, redo=replace(redo, until=0))
