"""The port to the datastore: the truth about every job.

Two halves. `Datastore.begin` opens the transaction of a batch: lock the roots and load what the events need, write all
changes with their outbox rows, commit. The number of statements is fixed, however many events there are. The other half
is reading for people: pages, logs, figures.

Errors: `DatastoreUnavailable` when the server does not answer (wait and try again: nothing is wrong with the event),
`BadData` when it refuses a value (trying again can't help), `NotFound` for an unknown id. Nothing else.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from tork.job import Job, JobState, JobSummary
from tork.log import TaskLogPart
from tork.node import Metrics, Node
from tork.page import Page
from tork.task import Task, TaskSummary
from torkd.broker.messages import Heartbeat, LogPrinted, RunTask
from torkd.datastore.account_protocol import AUDIT_SECONDS, Accounts, Act, Viewer
from torkd.datastore.scheduling import ScheduleReading, ScheduleUpkeep, SchedulingBatch
from torkd.datastore.webhook_protocol import WebhookReading, Webhooks
from torkd.engine.events import EngineEvent, JobStalled, RetryDue, RunLost, TaskStalled
from torkd.engine.reads import Reads
from torkd.engine.view import View


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """The answer to a submission: the job, and whether the idempotency key had been used for it before."""

    job_id: str
    repeated: bool
    created_at: datetime | None = None
    """Of a job that is new, if it is known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class IdempotencyKey:
    """A client's name for one submission. `body` is what was sent, byte for byte."""

    owner: str
    key: str
    body: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Dispatch:
    """One hand-out of a task."""

    task_id: str
    dispatch: int


class Batch(SchedulingBatch, Protocol):
    """The transaction of one batch of events."""

    def load(self, events: Sequence[EngineEvent], *, wait: float = 0.0) -> View:
        """Lock the roots and read what the events need.

        Roots that somebody else has locked are skipped (`view.skipped_roots`), or waited for when `wait` says how many
        seconds; `DatastoreUnavailable` is raised when they are locked for longer.
        """

    def load_steps(self, view: View, job_id: str, position: int) -> None:
        """Add the steps of a job from `position` on, some at a time, with the context they read."""

    def load_context(self, view: View, job_id: str, reads: Reads) -> None:
        """Add context values of a job."""

    def load_failures(self, view: View, parent_id: str) -> None:
        """Add the first children of a task that have failed for good, in their order."""

    def load_last_runs(self, view: View, job_id: str) -> None:
        """Add a job that has ended, and note the latest task at its position; the same of ended sub-jobs of tasks in the view.

        The latest is the one of the highest version, and of those the one with the most attempts.
        """

    def accept(self, key: IdempotencyKey, job_id: str) -> Accepted:
        """Take the key for this job, or say which job has it. Raises `IdempotencyConflict` when the body differs."""

    def audit(self, acts: Sequence[Act]) -> None:
        """Write down who did this."""

    def write(self, view: View, published: Collection[Dispatch] = ()) -> dict[str, int]:
        """Write what was decided, with an outbox row for every hand-out, and what webhooks are told (`torkd.engine.webhooks`).

        The outbox rows of hand-outs in `published`, which the broker has confirmed, are removed.
        Answers with the versions of jobs that were cancelled along with others without being in the view; the runs to
        stop among their tasks are added to `view.orders`.
        """


@dataclass(frozen=True, kw_only=True, slots=True)
class JobQuery:
    """Which jobs a list shows. Empty fields do not filter."""

    text: str = ""
    """Words that must all occur in name, description or state (English stems), with tag:x and tags:a,b among them."""
    states: tuple[JobState, ...] = ()
    tags: tuple[str, ...] = ()
    id_prefix: str = ""
    viewer: Viewer | None = None
    """Whose jobs; None: everybody's."""
    schedule_id: str = ""
    """The schedule that made them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExecutionPage:
    """A part of a job's execution: page `number` from 1 with `size` tasks. Size 0 means none of it."""

    number: int = 1
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class LogPosition:
    """A place in a stored log. It only grows within a job."""

    seq: int
    part: TaskLogPart
    job_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class LogState:
    """Whether a log is complete: no task is active, and every part that was announced is stored."""

    ended: bool
    complete: bool
    state: str


@dataclass(frozen=True, kw_only=True, slots=True)
class JobChanges:
    """What changed in a job after a version."""

    version: int
    job: JobSummary
    tasks: Sequence[TaskSummary]
    more: bool = False
    """Whether there were too many changes for one answer: read again after `version`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineFigures:
    """What is under way and what waits, in numbers. What is not there is 0."""

    jobs: Mapping[str, int]
    """Active jobs by state."""
    tasks: Mapping[str, int]
    """Active tasks by state."""
    outbox: int
    """Hand-outs that wait to be published."""
    outbox_age_seconds: float
    """Of the oldest of them."""
    nodes: Mapping[tuple[str, str], int]
    """Nodes that were heard of lately, by kind (coordinator, worker) and status."""
    cpu_percent: Mapping[str, float]
    """The average of the nodes that are online, by kind."""
    worker_tasks: int
    """How many tasks the workers say that they run."""
    jobs_stored: int = 0
    """All jobs, ended ones included."""
    schedules_late: int = 0
    """Schedules whose next tick should have fired more than half a minute ago."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Beginning:
    """When a job or a task was made, handed out last, and started."""

    created_at: datetime
    scheduled_at: datetime | None = None
    started_at: datetime | None = None


class Reading(ScheduleReading, WebhookReading, Protocol):
    """Reading for people. Values are as stored: hiding secrets is the caller's duty (`secrets_of`)."""

    def get_job(self, job_id: str, execution: ExecutionPage | None = None) -> Job:
        """Everything about a job; the whole execution unless a page is asked for. Raises `NotFound`."""

    def execution_in_parts(self, job_id: str, *, size: int) -> Iterator[list[Task]]:
        """The whole execution, so many tasks at a time. Which ones and their order are of the moment of the first part, each task is
        as it is when its part is read, and nothing is held between parts.
        """

    def get_summary(self, job_id: str) -> JobSummary:
        """A job in few words. Raises `NotFound`."""

    def list_jobs(self, query: JobQuery, *, page: int, size: int) -> Page[JobSummary]:
        """Newest first."""

    def get_task(self, task_id: str) -> Task:
        """A task. Raises `NotFound`."""

    def get_task_summary(self, task_id: str) -> TaskSummary:
        """A task in few words. Raises `NotFound`."""

    def job_log(self, job_id: str, *, text: str, page: int, size: int) -> Page[TaskLogPart]:
        """Newest part first, of the last task first. Raises `NotFound`."""

    def task_log(self, task_id: str, *, text: str, page: int, size: int) -> Page[TaskLogPart]:
        """Newest part first. Raises `NotFound`."""

    def secrets_of(self, job_id: str) -> dict[str, str]:
        """The secrets a job was submitted with, its parents' included."""

    def secrets_of_each(self, job_ids: Collection[str]) -> dict[str, dict[str, str]]:
        """The same for several jobs, in one statement; jobs without secrets are left out."""

    def nodes(self) -> list[Node]:
        """Nodes that were alive within the last five minutes, by name."""

    def metrics(self) -> Metrics:
        """The figures of now."""

    def figures(self) -> EngineFigures:
        """More of them. Costs what is under way, not what is stored."""

    def versions_of(self, job_ids: Collection[str]) -> dict[str, int]:
        """The versions of several jobs, in one statement."""

    def job_changes(self, job_id: str, after: int) -> JobChanges:
        """The job, and its tasks that changed after that version. Raises `NotFound`."""

    def changed_jobs(self, job_ids: Collection[str], viewer: Viewer | None = None) -> list[JobSummary]:
        """These jobs as they are now, without those that the viewer may not see."""

    def log_after(self, *, job_id: str = "", task_id: str = "", seq: int, limit: int) -> list[LogPosition]:
        """Stored parts of a job or of a task after a place, in order."""

    def log_place(self, run_id: str, number: int, *, job_id: str = "", task_id: str = "") -> int:
        """The place of a part, or 0 when it is not stored."""

    def log_state(self, *, job_id: str = "", task_id: str = "") -> LogState:
        """Whether more is to come. Raises `NotFound`."""


class Upkeep(Protocol):
    """What keeps the engine going between events. Every row is claimed by one coordinator at a time."""

    def record_heartbeats(self, heartbeats: Sequence[Heartbeat], *, gap_seconds: float, drained: bool = True) -> None:
        """Renew the leases and the nodes' rows, by the clock of the database, and note that no heartbeat waits, if so (`drained`).

        To be called regularly, even with none. When the last such note is older than `gap_seconds`, every lease is extended.
        """

    def lost_nodes(self, node_ids: Collection[str], *, lease_seconds: float) -> list[str]:
        """Those of these nodes that hold no lease; none of them while it can't be known, as after a gap in reading heartbeats."""

    def add_log_parts(self, parts: Sequence[LogPrinted]) -> None:
        """Store log parts; one that is there already is left as it is."""

    def events_due(self, *, now: datetime, lease_seconds: float, limit: int) -> list[EngineEvent]:
        """Retries whose time has come, each-loops with room for more children, runs whose lease was lost."""

    def root_of(self, job_id: str) -> str | None:
        """The job whose row is locked for changes of this one; None when there is no such job."""

    def leftovers(self, *, older_than_seconds: float, limit: int) -> AbstractContextManager[list[RunTask]]:
        """Claim hand-outs that nobody has published; their outbox rows go when the block ends without an error."""

    def forget(self, published: Collection[Dispatch]) -> None:
        """Remove outbox rows of hand-outs that the broker has confirmed, in a transaction of its own."""

    def bodies(self, dispatches: Collection[Dispatch]) -> list[RunTask]:
        """The messages of these hand-outs, without those that are not current any more."""

    def begin_epoch(self, epoch: str, *, expected: str) -> bool:
        """Name a new life of the broker, if the current one is still `expected`; every SCHEDULED task goes to the outbox again."""

    def epoch(self) -> str:
        """The name of the broker's present life; empty at first."""

    def queues_with_hand_outs(self) -> set[str]:
        """The queues to which tasks are handed out that no run holds."""

    def send_unseen_again(self, queue: str, *, before: datetime, limit: int) -> int:
        """Put hand-outs to a queue from before that time, which no run holds, into the outbox again; how many were not there."""

    def end_leases(self) -> None:
        """Every run of before is lost: for a broker that lives and dies with its only worker."""

    def forget_everything(self) -> None:
        """Remove all jobs: for a private engine, whose jobs are nobody's business before and after it."""

    def delete_old(
        self, *, jobs_seconds: float, logs_seconds: float, audit_seconds: float = AUDIT_SECONDS, limit: int
    ) -> int:
        """Remove some of what the retention no longer covers; the number of rows that went, 0 when nothing is left to go.

        Nothing of a job that is active goes, except log parts that are too old.
        """


@dataclass(frozen=True, kw_only=True, slots=True)
class SilentRun:
    """A run whose worker was not heard of for too long."""

    lost: RunLost
    node_id: str
    may_be_given_up: bool
    """Whether heartbeats were read without a gap meanwhile: otherwise nobody can know that the worker was silent."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HandedOut:
    """A queue with tasks that wait for a run."""

    queue: str
    count: int
    task_ids: list[str]
    """The ten that wait the longest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DownNode:
    """A node that was heard of lately, and says that it can't work."""

    id: str
    name: str
    hostname: str
    port: int
    """Where it answers `GET /health`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Examined:
    """What is wrong, or may be. Lists are cut at the limit; each was seen in one moment."""

    now: datetime
    """By the clock of the database."""
    is_busy: bool
    """Whether any job is active."""
    heartbeats_until: datetime | None
    """When a coordinator last read heartbeats."""
    down_nodes: Sequence[DownNode] = ()
    stalled_jobs: Sequence[JobStalled] = ()
    stalled_tasks: Sequence[TaskStalled] = ()
    silent_runs: Sequence[SilentRun] = ()
    late_retries: Sequence[RetryDue] = ()
    old_outbox: Sequence[Dispatch] = ()
    waiting: Sequence[HandedOut] = ()
    """Hand-outs that are not in the outbox: wrong only where the broker does not have them."""
    queues: frozenset[str] = frozenset()
    """Those with tasks that wait for a run."""
    served_queues: frozenset[str] = frozenset()
    """Where tasks of a worker come from that is alive."""
    older_keys: int = 0
    """How many keys are known that only open what they have sealed."""
    is_rekeyed: bool = False
    """Whether everything stored was found to need none of them."""


class Examining(Protocol):
    """Looking for what should never be."""

    def examine(
        self, *, lease_seconds: float, late_seconds: float, unseen_seconds: float, limit: int = 100
    ) -> Examined:
        """Look at every active job. What coordinators do by themselves is wrong once it is `late_seconds` overdue; hand-outs that
        no run holds are told when they are `unseen_seconds` old.
        """


class Datastore(Reading, Upkeep, Webhooks, Examining, ScheduleUpkeep, Accounts, Protocol):
    """A datastore."""

    def open(self) -> None:
        """Connect. Called after any fork, and again only if it raised `DatastoreUnavailable`: then it has left nothing behind."""

    def close(self) -> None:
        """Disconnect."""

    def begin(self) -> AbstractContextManager[Batch]:
        """A transaction: commits when the block ends, rolls back on an error."""

    def beginnings(self, job_ids: Collection[str], task_ids: Collection[str]) -> dict[str, Beginning]:
        """When these jobs and tasks began, by id, in one statement; those that are gone are left out."""

    def check_health(self) -> None:
        """Returns when the datastore answers. Raises `DatastoreUnavailable`."""

    def migrate(self) -> list[str]:
        """Create or upgrade the schema; the names of what was applied. Safe at the same time from two machines."""
