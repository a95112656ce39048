"""Tasks made of tasks: parallel, and each over a list of any length.

Children are made in chunks. At most a window of them is handed out at a time, and at most a bounded number of rows is
made ahead, so that a million items cost no more memory than a thousand. Children are released in the order of the list.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import msgspec

from tork.errors import ExpressionError
from tork.expression import evaluate
from tork.task import TaskDefinition, TaskState
from torkd.engine import progress, tasks
from torkd.engine.events import ChildrenDue
from torkd.engine.instance import plain_items
from torkd.engine.rows import JobRow, TaskKind, TaskRow
from torkd.engine.turn import Follow, Turn

OPEN_WINDOW = 1_000
"""Children handed out at a time when no concurrency is given."""
ROWS_AHEAD = 1_000
"""Children made beyond those that are done, unless the concurrency asks for more."""
CHUNK = 250
"""Children made in one transaction."""
FIRST_CHUNK = 100
"""Children made at once, in the transaction that starts their parent; the elements of a longer list are stored."""
ENOUGH_TASKS = 500
"""When one batch has made so many tasks, children of further parents come later: eaches within eaches multiply."""
FAILURES_NAMED = 100
"""How many of the children that have failed are named in the error of their parent."""
FAILURES_LOADED = FAILURES_NAMED + 2 * CHUNK
"""How many are looked for: some of them may be run again or skipped in the same decision."""
ERRORS_TOLD = 20
"""And of how many of them the error is told, unless it is a long one."""
LONGEST_ERROR_TOLD = 300
DEFAULT_VARIABLE = "item"


def start(turn: Turn, task_id: str) -> None:
    """Start a parallel or an each that is RUNNING since now."""
    task = turn.task(task_id)
    assert task is not None
    job = turn.job(task.job_id)
    if task.state is not TaskState.RUNNING or job is None or not job.state.is_active:
        return
    assert task.spec is not None
    turn.require(job.id, task.spec)
    try:
        items = _items_of(turn, job, task, task.spec)
    except ExpressionError as failure:
        tasks.fail(turn, task, str(failure))
        return
    concurrency = task.spec.each.concurrency if task.spec.each else 0
    task = turn.set_task(task, size=len(items), concurrency=concurrency)
    if not items:
        _complete(turn, task)
        return
    first = items[:FIRST_CHUNK] if turn.tasks_made < ENOUGH_TASKS else []
    if len(items) > len(first):
        turn.store_items(task, items)
    else:
        turn.not_stored.add(task.id)
    _create_children(turn, task.id, first)


def _items_of(turn: Turn, job: JobRow, task: TaskRow, spec: TaskDefinition) -> list[Any]:
    if spec.parallel is not None:
        return list(spec.parallel.tasks)
    assert spec.each is not None
    items = evaluate(spec.each.list, turn.context(job, task.scope))
    if not isinstance(items, list):
        raise ExpressionError("each.list does not evaluate to a list")
    return plain_items(items)


def children_due(turn: Turn, event: ChildrenDue) -> None:
    """Release children that are held back and make the next chunk, as far as there is room."""
    task = turn.task(event.task_id)
    job = turn.job(event.job_id)
    if task is None or job is None or not job.state.is_active or task.state is not TaskState.RUNNING:
        return
    if task.redo_left:
        return
    released_before = task.released
    task = _release(turn, task)
    if _can_release(task) and task.released > released_before:
        turn.unfold_soon(task)
    room = min(_rows_wanted(task) - task.created, CHUNK)
    loaded = turn.view.items.get(task.id)
    if room <= 0 or loaded is None:
        return
    first, items = loaded
    chunk = items[task.created - first :][:room]
    if not chunk:
        return
    assert task.spec is not None
    turn.require(job.id, task.spec)
    _create_children(turn, task.id, chunk)


def _rows_wanted(task: TaskRow) -> int:
    return min(task.size, _ended(task) + max(_window(task), ROWS_AHEAD))


def _window(task: TaskRow) -> int:
    return task.concurrency or OPEN_WINDOW


def _ended(task: TaskRow) -> int:
    return task.completions + task.failures


def room(task: TaskRow) -> int:
    """How many more children may be at work."""
    return _window(task) - (task.released - _ended(task) - task.redo_left)


def _has_room(task: TaskRow) -> bool:
    return room(task) > 0


def _can_release(task: TaskRow) -> bool:
    """Whether a child is held back although there is room for it."""
    return task.released < task.created and _has_room(task)


def _create_children(turn: Turn, parent_id: str, items: list[Any]) -> None:
    turn.unfolding[parent_id] = deque(items)
    turn.later(Follow.MAKE_CHILD, parent_id)


def make_child(turn: Turn, parent_id: str) -> None:
    """Make one child. All that follows from it is settled before the next: it may make room, or end it all."""
    parent = turn.task(parent_id)
    assert parent is not None
    job = turn.job(parent.job_id)
    items = turn.unfolding[parent_id]
    if not items or job is None or not job.state.is_active or parent.state is not TaskState.RUNNING:
        del turn.unfolding[parent_id]
        if items and parent_id in turn.not_stored:
            # It has ended in the midst of them: who runs it again will need the rest, at their places.
            turn.store_items(parent, [None] * parent.created + list(items))
        _go_on(turn, parent)
        return
    definition, scope = _child_of(parent, items.popleft())
    hold = parent.released < parent.created or not _has_room(parent)
    index = parent.created
    turn.set_task(parent, created=index + 1, released=parent.released if hold else parent.released + 1)
    tasks.create(turn, job, definition, parent=parent, index=index, scope=scope, hold=hold)
    turn.later(Follow.MAKE_CHILD, parent_id)


def _child_of(parent: TaskRow, item: Any) -> tuple[TaskDefinition, dict[str, Any] | None]:
    spec = parent.spec
    assert spec is not None
    if parent.kind is TaskKind.PARALLEL:
        return (item if isinstance(item, TaskDefinition) else msgspec.convert(item, TaskDefinition)), parent.scope
    assert spec.each is not None
    assert spec.each.task is not None
    variable = {"index": str(parent.created), "value": item}
    return spec.each.task, (parent.scope or {}) | {spec.each.var or DEFAULT_VARIABLE: variable}


def child_done(turn: Turn, job: JobRow, child: TaskRow) -> None:
    """A child has completed or was skipped: release the next, or complete the parent after the last."""
    assert child.parent_id is not None
    parent = turn.task(child.parent_id)
    if parent is None or parent.state is not TaskState.RUNNING:
        return
    parent = turn.set_task(parent, completions=parent.completions + 1)
    if _ended(parent) < parent.size:
        parent = turn.set_task(parent, progress=round(parent.completions / parent.size * 100, 2))
        progress.of_top_level(turn, job, parent)
    _child_ended(turn, parent)


def child_failed(turn: Turn, parent: TaskRow) -> None:
    """A child of a task that goes on has failed for good: release the next, or let the parent fail after the last."""
    if parent.state is TaskState.RUNNING:
        _child_ended(turn, turn.set_task(parent, failures=parent.failures + 1))


def _child_ended(turn: Turn, parent: TaskRow) -> None:
    if _ended(parent) < parent.size:
        if parent.id not in turn.unfolding:
            _go_on(turn, parent)
    elif parent.failures:
        tasks.fail(turn, parent, _failures_text(turn, parent))
    else:
        _complete(turn, parent)


def _failures_text(turn: Turn, parent: TaskRow) -> str:
    """What failed, and why. An error is told whole or not at all: a part of a secret would not be known as one."""
    failures = turn.failures_of(parent)[:FAILURES_NAMED]
    lines = [f"{parent.failures} of {parent.size} have failed:"]
    for number, failure in enumerate(failures):
        place = f"item {failure.index}" if parent.kind is TaskKind.EACH else f"task {failure.index + 1}"
        name = f"{place} ({failure.name})" if failure.name else place
        is_told = number < ERRORS_TOLD and failure.error and len(failure.error) <= LONGEST_ERROR_TOLD
        lines.append(f"{name}: {failure.error}" if is_told else name)
    if parent.failures > len(failures):
        lines.append(f"and {parent.failures - len(failures)} more")
    return "\n".join(lines)


def _go_on(turn: Turn, parent: TaskRow) -> None:
    """Use the room that there is for more children; what is not at hand comes in a transaction of its own."""
    job = turn.job(parent.job_id)
    if job is None or not job.state.is_active or parent.state is not TaskState.RUNNING:
        return
    if parent.redo_left:
        if _has_room(parent):
            turn.unfold_soon(parent)
        return
    parent = _release(turn, parent)
    missing = min(CHUNK, parent.size - parent.created)
    if _can_release(parent) or 0 < missing <= _rows_wanted(parent) - parent.created:
        turn.unfold_soon(parent)


def _release(turn: Turn, parent: TaskRow) -> TaskRow:
    while _can_release(parent):
        waiting = turn.waiting_child(parent.id, parent.released)
        if waiting is None:
            break
        parent = turn.set_task(parent, released=parent.released + 1)
        tasks.start(turn, waiting)
    return parent


def _complete(turn: Turn, parent: TaskRow) -> None:
    turn.set_task(parent, TaskState.COMPLETED, completed_at=turn.now, progress=100.0)
    turn.later(Follow.TASK_SETTLED, parent.id)
