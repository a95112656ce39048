"""A job's tree as one document: each task with what is below it, however many there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from tork.wire import Told
from torkctl.branches import Branch
from torkctl.client.documents import JobReport


class TreeNode(Told, frozen=True, kw_only=True):
    """A job or a task, and its children. Of a task that stands for a job, `subJobId` is that job."""

    kind: str
    """`job`, `task`, `parallel`, `each` or `subjob`."""

    id: str
    name: str = ""
    state: str = ""
    attempt: int = 0
    """Which run of the task it is, from 1, of how many."""

    attempts: int = 0
    created_at: datetime | None = None
    scheduled_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    queue: str = ""
    node_id: str = ""
    sub_job_id: str = ""
    error: str = ""
    children: list[TreeNode] = []


def tree_document(job: JobReport, top: Sequence[Branch]) -> TreeNode:
    """The job, and its tasks below it."""
    return TreeNode(
        kind="job",
        id=job.id,
        name=job.name,
        state=job.state.value,
        created_at=job.created_at,
        started_at=job.started_at,
        ended_at=job.completed_at or job.failed_at,
        error=job.error,
        children=[_node(branch) for branch in top],
    )


def tree_ids(node: TreeNode) -> Iterator[str]:
    """The ids in the order of the tree, the job's first."""
    yield node.id
    for child in node.children:
        yield from tree_ids(child)


def _node(branch: Branch) -> TreeNode:
    task = branch.task
    return TreeNode(
        kind=branch.kind,
        id=task.id,
        name=task.name,
        state=branch.state,
        attempt=branch.number,
        attempts=branch.of,
        created_at=task.created_at,
        scheduled_at=task.scheduled_at,
        started_at=task.started_at,
        ended_at=branch.ended_at,
        queue=task.queue,
        node_id=task.node_id,
        sub_job_id=task.subjob.id if task.subjob else "",
        error=task.error,
        children=[_node(child) for child in branch.children],
    )
