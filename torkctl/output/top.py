"""The cluster in few figures, as a document and as the first lines of `torkctl top`."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tork.job import JobSummary
from tork.node import Node, NodeStatus, Queue
from torkctl.figures import Figures, count, per_second
from torkctl.output.tables import Table, table_lines


class Flow(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Jobs, or tasks: how many there are, and how fast they end. Null is what is not known now."""

    running: int | None
    waiting: int | None
    completed_per_second: float | None
    failed_per_second: float | None


class Overview(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The cluster at one moment."""

    jobs: Flow
    tasks: Flow
    coordinators: int
    queues: Sequence[Queue]
    nodes: Sequence[Node]
    running: Sequence[JobSummary]
    failed: Sequence[JobSummary]

    def lines(self) -> list[str]:
        """What runs and waits, and how much ends."""
        rows = [["jobs", *_cells(self.jobs)], ["tasks", *_cells(self.tasks)]]
        columns = ("", "running", "waiting", "completed/s", "failed/s")
        lines = table_lines(Table(columns=columns, rows=rows))
        if self.coordinators > 1:
            lines.append(f"(what ends is counted by one of {self.coordinators} coordinators)")
        return lines


def overview(
    now: Figures,
    before: Figures,
    seconds: float,
    *,
    queues: Sequence[Queue],
    nodes: Sequence[Node],
    running: Sequence[JobSummary],
    failed: Sequence[JobSummary],
) -> Overview:
    """The cluster, with rates over the seconds between two readings of its figures."""

    def flow(things: str, *waiting: str) -> Flow:
        ended = f"tork_{things}_ended_total"
        return Flow(
            running=count(f"tork_{things}", now, "RUNNING"),
            waiting=count(f"tork_{things}", now, *waiting),
            completed_per_second=per_second(ended, "COMPLETED", before, now, seconds),
            failed_per_second=per_second(ended, "FAILED", before, now, seconds),
        )

    return Overview(
        jobs=flow("jobs", "PENDING", "SCHEDULED"),
        tasks=flow("tasks", "CREATED", "PENDING", "SCHEDULED"),
        coordinators=sum(not node.queue and node.status is NodeStatus.UP for node in nodes),
        queues=queues,
        nodes=nodes,
        running=running,
        failed=failed,
    )


def _cells(flow: Flow) -> list[str]:
    rates = (flow.completed_per_second, flow.failed_per_second)
    counts = ["-" if number is None else str(number) for number in (flow.running, flow.waiting)]
    return [*counts, *("-" if rate is None else f"{rate:.1f}" for rate in rates)]
