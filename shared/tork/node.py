"""The machines: nodes (coordinators and workers), queues, and the figures of the whole."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from tork.wire import Told


class NodeStatus(StrEnum):
    """Whether a node can work."""

    UP = "UP"
    DOWN = "DOWN"
    OFFLINE = "OFFLINE"


class Node(Told, frozen=True, kw_only=True):
    """A process that takes part: a worker, or a coordinator."""

    id: str
    name: str = ""
    started_at: datetime
    cpu_percent: float
    last_heartbeat_at: datetime
    queue: str = ""
    status: NodeStatus | None = None
    hostname: str = ""
    port: int = 0
    task_count: int
    version: str


class Queue(Told, frozen=True, kw_only=True):
    """A queue: messages waiting, consumers, and messages taken but not acknowledged."""

    name: str
    size: int
    subscribers: int
    unacked: int


class RunningCount(Told, frozen=True, kw_only=True):
    """How many run now."""

    running: int


class NodeFigures(Told, frozen=True, kw_only=True):
    """Nodes that are online and their average CPU use in percent."""

    online: int
    cpu_percent: float


class Metrics(Told, frozen=True, kw_only=True):
    """The figures of `GET /metrics`."""

    jobs: RunningCount
    tasks: RunningCount
    nodes: NodeFigures
