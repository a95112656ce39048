"""The messages between coordinators and workers, and the one that wakes live streams.

Every message about a task carries (task, dispatch, run): the hand-out it belongs to and the execution that speaks, so
that a stale one can be told from a current one. `root_id` is the job whose row is locked while the message is handled.
All of them ignore unknown fields when read and carry a version, so that two versions of torkd can work side by side.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from tork.node import Node
from tork.task import TaskDefinition

MESSAGE_VERSION = 1


class Message(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True, tag_field="kind"):
    """What every message has."""

    v: int = MESSAGE_VERSION


class RunTask(Message, frozen=True, kw_only=True, tag="run"):
    """To a task queue: run this task."""

    task_id: str
    job_id: str
    root_id: str
    dispatch: int
    """Which hand-out of the task this is: 1 for the first."""
    queue: str
    priority: int = 0
    definition: TaskDefinition
    """Templates evaluated, defaults applied."""
    mask: list[str] = []
    """The values of the job's secrets, to be hidden in its logs."""


class RunClaimed(Message, frozen=True, kw_only=True, tag="claimed"):
    """A run of the task has started, or asks whether it may (`redelivered`)."""

    task_id: str
    job_id: str
    root_id: str
    dispatch: int
    run_id: str
    node_id: str
    lease_id: str
    """The incarnation of the worker: a restarted worker keeps its node id and gets a new lease."""
    started_at: datetime
    redelivered: bool = False
    """Whether the run waits for an answer before it starts, because another may hold the task."""


class RunOutcome(StrEnum):
    """How a run ended."""

    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    HANDED_BACK = "HANDED_BACK"
    """The worker shut down before the task was done; nothing of the run is alive any more."""


class RunEnded(Message, frozen=True, kw_only=True, tag="ended"):
    """A run of the task has ended. Counts as the claim too, if none was stored."""

    task_id: str
    job_id: str
    root_id: str
    dispatch: int
    run_id: str
    node_id: str
    lease_id: str
    outcome: RunOutcome
    result: str = ""
    error: str = ""
    started_at: datetime
    ended_at: datetime
    log_parts: int = 0
    """How many log parts the run sent: the end-of-log mark."""


class RunProgressed(Message, frozen=True, kw_only=True, tag="progressed"):
    """A running task told its progress, 0 to 100."""

    task_id: str
    job_id: str
    root_id: str
    dispatch: int
    run_id: str
    progress: float


class LogPrinted(Message, frozen=True, kw_only=True, tag="log"):
    """What a run printed within a short while, secrets masked. `number` counts from 1 in each run."""

    task_id: str
    job_id: str
    run_id: str
    dispatch: int
    number: int
    contents: str
    printed_at: datetime


class RunReference(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A run that a worker knows of."""

    task_id: str
    job_id: str
    root_id: str
    dispatch: int
    run_id: str
    started_at: datetime


class Heartbeat(Message, frozen=True, kw_only=True, tag="heartbeat"):
    """A node is alive. Workers list their runs; coordinators have none."""

    node: Node
    lease_id: str
    running: list[RunReference] = []
    unacknowledged: list[RunEnded] = []
    """Reports sent a while ago whose commit nobody has acknowledged: they are repeated here."""
    dead_nodes: list[str] = []
    """Nodes of the same host whose process is dead and that left something behind: `ForgetNodes` says which of them are lost."""


CoordinatorMessage = RunClaimed | RunEnded | RunProgressed | LogPrinted | Heartbeat


class StopRuns(Message, frozen=True, kw_only=True, tag="stop"):
    """To a node: these runs are cancelled, or own their task no more. Unknown ids are ignored."""

    run_ids: list[str]


class GrantRuns(Message, frozen=True, kw_only=True, tag="grant"):
    """To a node: these redelivered runs may start."""

    run_ids: list[str]


class RefuseRuns(Message, frozen=True, kw_only=True, tag="refuse"):
    """To a node: these redelivered runs must not start; drop them, somebody else owns the task or it has ended."""

    run_ids: list[str]


class AcknowledgeRuns(Message, frozen=True, kw_only=True, tag="acknowledge"):
    """To a node: the reports of these runs are handled; they need not be repeated."""

    run_ids: list[str]


class ForgetNodes(Message, frozen=True, kw_only=True, tag="forget"):
    """To a node: these others, which it asked about, hold no lease any more; what is left of their runs may go."""

    node_ids: list[str]


NodeOrder = StopRuns | GrantRuns | RefuseRuns | AcknowledgeRuns | ForgetNodes


class JobTouched(msgspec.Struct, frozen=True, rename="camel", array_like=True):
    """A job, or one of its tasks, changed; `version` is the job's own, which only grows."""

    job_id: str
    version: int


class LogTouched(msgspec.Struct, frozen=True, rename="camel", array_like=True):
    """More of a task's log is stored."""

    job_id: str
    task_id: str


class LiveChanges(Message, frozen=True, kw_only=True, tag="live"):
    """One committed batch, for live views: what to read again."""

    jobs: list[JobTouched] = []
    logs: list[LogTouched] = []


def kind_of(message: Message) -> str:
    """What a message is about, as it says itself on the wire."""
    return str(type(message).__struct_config__.tag)
