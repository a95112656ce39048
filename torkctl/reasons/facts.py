"""What is known when it is asked why, and what the answer consists of. What could not be asked for is a fact, too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from tork.account import AuditEntry
from tork.job import JobSummary
from tork.node import Node, Queue
from tork.wire import Told
from torkctl.client.documents import HealthReport, JobReport, TaskReport


class Subject(Told, frozen=True, kw_only=True):
    """What was asked about."""

    kind: str
    """`job`, `task` or `schedule`."""
    id: str
    name: str = ""


class Evidence(Told, frozen=True, kw_only=True):
    """One thing that was seen: of what, and what it says, which may be several lines."""

    about: str
    says: str


class Reason(Told, frozen=True, kw_only=True, omit_defaults=False):
    """The answer."""

    subject: Subject
    state: str
    because: str
    """One sentence."""
    evidence: list[Evidence]


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The job that it comes down to, the task of it that decides, and what was seen around them.

    What is None was not asked for or could not be seen; `unseen` tells of the latter.
    """

    now: datetime
    subject: Subject
    state: str
    job: JobReport
    task: TaskReport | None = None
    """None where it is about the job itself."""
    path: Sequence[str] = ()
    """The names of the tasks that lead from the subject down to the job, the outermost first."""
    around: JobSummary | None = None
    """The job that this one is a sub-job of."""
    queues: Sequence[Queue] | None = None
    nodes: Sequence[Node] | None = None
    health: HealthReport | None = None
    log_tail: Sequence[str] = ()
    """The last lines of the task's log."""
    cancellations: Sequence[AuditEntry] | None = None
    unseen: Sequence[Evidence] = ()
