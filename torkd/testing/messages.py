"""Builders for messages between coordinators and workers: only what a test is about needs to be said."""

from __future__ import annotations

from datetime import UTC, datetime

from tork.node import Node, NodeStatus
from tork.task import TaskDefinition
from tork.version import VERSION
from torkd.broker.messages import (
    Heartbeat,
    LogPrinted,
    RunClaimed,
    RunEnded,
    RunOutcome,
    RunProgressed,
    RunTask,
)

A_TIME = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def a_task_message(
    task_id: str = "t1",
    *,
    queue: str = "default",
    priority: int = 0,
    mask: list[str] | None = None,
    dispatch: int = 1,
    definition: TaskDefinition | None = None,
) -> RunTask:
    """A task on its way to a worker."""
    return RunTask(
        task_id=task_id,
        job_id="j1",
        root_id="j1",
        dispatch=dispatch,
        queue=queue,
        priority=priority,
        definition=definition or TaskDefinition(name=task_id),
        mask=mask or [],
    )


def a_claim(run_id: str) -> RunClaimed:
    """A run that has started."""
    return RunClaimed(
        task_id="t1",
        job_id="j1",
        root_id="j1",
        dispatch=1,
        run_id=run_id,
        node_id="n1",
        lease_id="l1",
        started_at=A_TIME,
    )


def a_report(run_id: str, *, outcome: RunOutcome = RunOutcome.COMPLETED) -> RunEnded:
    """A run that has ended."""
    return RunEnded(
        task_id="t1",
        job_id="j1",
        root_id="j1",
        dispatch=1,
        run_id=run_id,
        node_id="n1",
        lease_id="l1",
        outcome=outcome,
        started_at=A_TIME,
        ended_at=A_TIME,
    )


def a_progress(run_id: str) -> RunProgressed:
    """A run that is half done."""
    return RunProgressed(task_id="t1", job_id="j1", root_id="j1", dispatch=1, run_id=run_id, progress=50)


def a_log_part(run_id: str) -> LogPrinted:
    """A run that printed something."""
    return LogPrinted(
        task_id="t1", job_id="j1", run_id=run_id, dispatch=1, number=1, contents="hello\n", printed_at=A_TIME
    )


def a_heartbeat() -> Heartbeat:
    """A worker that is alive."""
    node = Node(
        id="n1",
        started_at=A_TIME,
        cpu_percent=1,
        last_heartbeat_at=A_TIME,
        status=NodeStatus.UP,
        task_count=0,
        version=VERSION,
    )
    return Heartbeat(node=node, lease_id="l1")
