"""Builders for job definitions and for what workers say of their runs: only what a test is about needs to be said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from tork.job import JobDefinition
from tork.task import Each, Parallel, SubJob, TaskDefinition
from torkd.broker.messages import RunClaimed, RunEnded, RunOutcome, RunProgressed
from torkd.engine.events import RunLost
from torkd.engine.rows import TaskRow

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
RUN_START = START + timedelta(seconds=10)
RUN_END = START + timedelta(seconds=20)


def a_job(*tasks: TaskDefinition, **fields: Any) -> JobDefinition:
    """A job of these tasks; of one named `only` when none is given."""
    return JobDefinition(name=fields.pop("name", "job"), tasks=list(tasks) or [a_task("only")], **fields)


def a_task(name: str = "task", **fields: Any) -> TaskDefinition:
    """A task that a worker runs."""
    return TaskDefinition(name=name, run=fields.pop("run", "true"), **fields)


def a_parallel(*tasks: TaskDefinition, name: str = "parallel", on_failure: str = "", **fields: Any) -> TaskDefinition:
    """A task made of tasks that run at the same time."""
    return TaskDefinition(name=name, parallel=Parallel(tasks=list(tasks), on_failure=on_failure), **fields)


def an_each(
    items: str,
    task: TaskDefinition | None = None,
    *,
    concurrency: int = 0,
    each_var: str = "",
    name: str = "each",
    on_failure: str = "",
    **fields: Any,
) -> TaskDefinition:
    """A task that runs once for every element of a list; the child is named `item <index>` unless it is given."""
    each = Each(
        list=items,
        task=task or a_task("item {{ item.index }}"),
        concurrency=concurrency,
        var=each_var,
        on_failure=on_failure,
    )
    return TaskDefinition(name=name, each=each, **fields)


def numbered(count: int, **fields: Any) -> TaskDefinition:
    """An each of the tasks `t0`, `t1` and so on, each with a result of its own."""
    return an_each(f"{{{{ sequence(0, {count}) }}}}", a_task("t{{ item.index }}", var="t{{ item.index }}"), **fields)


def a_subjob(
    *tasks: TaskDefinition,
    name: str = "subjob",
    job_name: str = "sub",
    detached: bool = False,
    subjob: dict[str, Any] | None = None,
    **fields: Any,
) -> TaskDefinition:
    """A task that is a job; `subjob` holds further fields of that job."""
    inner = SubJob(name=job_name, tasks=list(tasks), detached=detached, **(subjob or {}))
    return TaskDefinition(name=name, subjob=inner, **fields)


def claim_of(
    task: TaskRow,
    *,
    run_id: str | None = None,
    dispatch: int | None = None,
    node_id: str = "node-1",
    lease_id: str = "",
    redelivered: bool = False,
) -> RunClaimed:
    """A run of the task has started, by default the one that this hand-out should have."""
    return RunClaimed(
        task_id=task.id,
        job_id=task.job_id,
        root_id=task.root_id,
        dispatch=task.dispatch if dispatch is None else dispatch,
        run_id=run_id or task.run_id or run_of(task),
        node_id=node_id,
        lease_id=lease_id or f"lease of {node_id}",
        started_at=RUN_START,
        redelivered=redelivered,
    )


def report_of(
    task: TaskRow,
    outcome: RunOutcome = RunOutcome.COMPLETED,
    *,
    run_id: str | None = None,
    dispatch: int | None = None,
    node_id: str = "node-1",
    result: str = "",
    error: str = "",
    log_parts: int = 0,
) -> RunEnded:
    """A run of the task has ended."""
    return RunEnded(
        task_id=task.id,
        job_id=task.job_id,
        root_id=task.root_id,
        dispatch=task.dispatch if dispatch is None else dispatch,
        run_id=run_id or task.run_id or run_of(task),
        node_id=node_id,
        lease_id=f"lease of {node_id}",
        outcome=outcome,
        result=result,
        error=error,
        started_at=RUN_START,
        ended_at=RUN_END,
        log_parts=log_parts,
    )


def failure_of(task: TaskRow, error: str = "boom") -> RunEnded:
    """The current run of the task has failed."""
    return report_of(task, RunOutcome.FAILED, error=error)


def progress_of(
    task: TaskRow, percent: float, *, run_id: str | None = None, dispatch: int | None = None
) -> RunProgressed:
    """A run of the task tells how far it is."""
    return RunProgressed(
        task_id=task.id,
        job_id=task.job_id,
        root_id=task.root_id,
        dispatch=task.dispatch if dispatch is None else dispatch,
        run_id=run_id or task.run_id or run_of(task),
        progress=percent,
    )


def loss_of(
    task: TaskRow, *, run_id: str | None = None, dispatch: int | None = None, lease_id: str | None = None
) -> RunLost:
    """The worker that ran the task is gone."""
    return RunLost(
        task_id=task.id,
        job_id=task.job_id,
        root_id=task.root_id,
        dispatch=task.dispatch if dispatch is None else dispatch,
        run_id=run_id or task.run_id or run_of(task),
        lease_id=lease_id or task.lease_id or "lease of node-1",
    )


def run_of(task: TaskRow) -> str:
    """The id of the run that a hand-out has in tests."""
    return f"run {task.dispatch} of {task.id}"
