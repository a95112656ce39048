"""What the API stands on, without servers: jobs in dictionaries, commands that are written down."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from tork.account import User
from tork.diagnosis import Check, Diagnosis, Repair, Treatment
from tork.errors import NotFound
from tork.job import Job, JobContext, JobDefinition, JobState, JobSummary
from tork.log import TaskLogPart
from tork.node import Metrics, Node, NodeFigures, RunningCount
from tork.page import Page
from tork.schedule import ScheduledJob, ScheduleState
from tork.task import Task, TaskState, TaskSummary
from tork.webhook import WebhookStatus
from torkd.broker.messages import JobTouched, LiveChanges, LogTouched
from torkd.broker.protocol import Broker
from torkd.datastore.account_protocol import Submitter, Viewer
from torkd.datastore.protocol import (
    Accepted,
    EngineFigures,
    ExecutionPage,
    IdempotencyKey,
    JobChanges,
    JobQuery,
    LogPosition,
    LogState,
)
from torkd.datastore.webhook_protocol import WebhookFigures

NOON = datetime(2026, 1, 2, 12, 0, 0, 123400, tzinfo=UTC)
GUEST_SUBMITS = Submitter()
GUEST = User(id="0" * 32, name="Guest", username="guest", disabled=True)


def a_job(job_id: str = "j1", **fields: Any) -> Job:
    """A running job."""
    base: dict[str, Any] = {
        "id": job_id,
        "name": job_id,
        "state": JobState.RUNNING,
        "created_at": NOON,
        "created_by": GUEST,
        "tasks": [],
        "execution": [],
        "position": 1,
        "context": JobContext(),
        "task_count": 1,
    }
    return Job(**base | fields)


def a_task(task_id: str = "t1", job_id: str = "j1", **fields: Any) -> Task:
    """A running task."""
    base: dict[str, Any] = {"id": task_id, "job_id": job_id, "state": TaskState.RUNNING, "position": 1, "name": "one"}
    return Task(**base | fields)


def a_schedule(schedule_id: str, definition: JobDefinition, **fields: Any) -> ScheduledJob:
    """A scheduled job."""
    names = (
        "name",
        "description",
        "tags",
        "tasks",
        "inputs",
        "secrets",
        "output",
        "defaults",
        "auto_delete",
        "webhooks",
    )
    given: dict[str, Any] = {name: getattr(definition, name) for name in names}
    given |= {"id": schedule_id, "state": ScheduleState.ACTIVE, "created_at": NOON, "zone": "UTC"}
    given["cron"] = definition.schedule.cron if definition.schedule else ""
    return ScheduledJob(**given | fields)


class FakeReading:
    """A `Reading` over what a test puts in. `rings` are sent to the broker, as a coordinator does after a commit."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.jobs: dict[str, Job] = {}
        self.tasks: dict[str, Task] = {}
        self.schedules: dict[str, ScheduledJob] = {}
        self.versions: dict[str, int] = {}
        self.task_versions: dict[str, int] = {}
        self.parts: list[tuple[str, TaskLogPart]] = []
        self.complete_logs = True
        self.query: JobQuery | None = None
        self.asked: tuple[Any, ...] = ()
        self.failure: Exception | None = None
        self.reads = 0
        self.hidden: set[str] = set()
        """Jobs that no viewer sees."""

    def put(self, value: Job | Task, *, quietly: bool = False) -> None:
        """Store it as it is now, and ring."""
        job_id = value.id if isinstance(value, Job) else value.job_id
        version = self.versions[job_id] = self.versions.get(job_id, 0) + 1
        if isinstance(value, Job):
            self.jobs[job_id] = value
        else:
            self.tasks[value.id] = value
            self.task_versions[value.id] = version
        if not quietly:
            self.broker.publish_live(LiveChanges(jobs=[JobTouched(job_id, version)]))

    def print(self, job_id: str, task_id: str, number: int, contents: str, run: str = "r1") -> None:
        """Store a part of a log, and ring."""
        part = TaskLogPart(id=f"{run}:{number}", number=number, task_id=task_id, contents=contents, run=run)
        self.parts.append((job_id, part))
        self.broker.publish_live(LiveChanges(logs=[LogTouched(job_id, task_id)]))

    def get_job(self, job_id: str, execution: ExecutionPage | None = None) -> Job:
        self.asked = (job_id, execution)
        return self._job(job_id)

    def execution_in_parts(self, job_id: str, *, size: int) -> Iterator[list[Task]]:
        tasks = self._job(job_id).execution
        yield from (tasks[start : start + size] for start in range(0, len(tasks), size))

    def webhooks_of(self, job_id: str) -> list[WebhookStatus]:
        return [WebhookStatus(url=webhook.url) for webhook in self._job(job_id).webhooks]

    def webhook_figures(self) -> WebhookFigures:
        return WebhookFigures(delivered=0, given_up=0, waiting=0, failing=0)

    def get_summary(self, job_id: str) -> JobSummary:
        return _summary(self._job(job_id))

    def list_jobs(self, query: JobQuery, *, page: int, size: int) -> Page[JobSummary]:
        self._check()
        self.query, self.asked = query, (page, size)
        items = [_summary(job) for job in self.jobs.values()]
        return Page(items=items, number=page, size=len(items), total_pages=1, total_items=len(items))

    def get_schedule(self, schedule_id: str) -> ScheduledJob:
        self._check()
        if schedule_id not in self.schedules:
            raise NotFound("scheduled job not found")
        return self.schedules[schedule_id]

    def list_schedules(self, *, page: int, size: int, viewer: Viewer | None = None) -> Page[ScheduledJob]:
        self._check()
        self.asked = (page, size)
        items = list(self.schedules.values())
        return Page(items=items, number=page, size=len(items), total_pages=1, total_items=len(items))

    def get_task(self, task_id: str) -> Task:
        self._check()
        if task_id not in self.tasks:
            raise NotFound("task not found")
        return self.tasks[task_id]

    def get_task_summary(self, task_id: str) -> TaskSummary:
        return _task_summary(self.get_task(task_id))

    def job_log(self, job_id: str, *, text: str, page: int, size: int) -> Page[TaskLogPart]:
        self._job(job_id)
        self.asked = (text, page, size)
        return self._log_page([part for owner, part in self.parts if owner == job_id], page)

    def task_log(self, task_id: str, *, text: str, page: int, size: int) -> Page[TaskLogPart]:
        self.get_task(task_id)
        self.asked = (text, page, size)
        return self._log_page([part for _, part in self.parts if part.task_id == task_id], page)

    def secrets_of(self, job_id: str) -> dict[str, str]:
        return self.jobs[job_id].secrets if job_id in self.jobs else {}

    def secrets_of_each(self, job_ids: Collection[str]) -> dict[str, dict[str, str]]:
        return {job_id: self.jobs[job_id].secrets for job_id in job_ids}

    def nodes(self) -> list[Node]:
        return [
            Node(id="n1", name="a", started_at=NOON, cpu_percent=0, last_heartbeat_at=NOON, task_count=0, version="1")
        ]

    def metrics(self) -> Metrics:
        self._check()
        return Metrics(
            jobs=RunningCount(running=0), tasks=RunningCount(running=2), nodes=NodeFigures(online=1, cpu_percent=2.5)
        )

    def figures(self) -> EngineFigures:
        self._check()
        return EngineFigures(
            jobs={"RUNNING": 1},
            tasks={"RUNNING": 2, "SCHEDULED": 3},
            outbox=4,
            outbox_age_seconds=1.5,
            nodes={("worker", "UP"): 1, ("coordinator", "UP"): 1},
            cpu_percent={"worker": 50.0, "coordinator": 2.5},
            worker_tasks=2,
        )

    def versions_of(self, job_ids: Collection[str]) -> dict[str, int]:
        return {job_id: self.versions[job_id] for job_id in job_ids if job_id in self.versions}

    def job_changes(self, job_id: str, after: int) -> JobChanges:
        self.reads += 1
        job = self._job(job_id)
        tasks = [
            _task_summary(task)
            for task in self.tasks.values()
            if task.job_id == job_id and self.task_versions[task.id] > after
        ]
        return JobChanges(version=self.versions[job_id], job=_summary(job), tasks=tasks)

    def changed_jobs(self, job_ids: Collection[str], viewer: Viewer | None = None) -> list[JobSummary]:
        self._check()
        self.reads += 1
        hidden = self.hidden if viewer else set()
        return [_summary(self.jobs[job_id]) for job_id in job_ids if job_id in self.jobs and job_id not in hidden]

    def log_after(self, *, job_id: str = "", task_id: str = "", seq: int, limit: int) -> list[LogPosition]:
        self._check()
        return [
            LogPosition(seq=place, part=part, job_id=owner)
            for place, (owner, part) in enumerate(self.parts, start=1)
            if place > seq and (owner == job_id or part.task_id == task_id)
        ][:limit]

    def log_place(self, run_id: str, number: int, *, job_id: str = "", task_id: str = "") -> int:
        for place, (_, part) in enumerate(self.parts, start=1):
            if (part.run, part.number) == (run_id, number):
                return place
        return 0

    def log_state(self, *, job_id: str = "", task_id: str = "") -> LogState:
        state = self.get_task(task_id).state if task_id else self._job(job_id).state
        assert state is not None
        ended = not state.is_active
        return LogState(ended=ended, complete=ended and self.complete_logs, state=state)

    def _job(self, job_id: str) -> Job:
        self._check()
        if job_id not in self.jobs:
            raise NotFound("job not found")
        return self.jobs[job_id]

    def _check(self) -> None:
        if self.failure is not None:
            raise self.failure

    def _log_page(self, parts: list[TaskLogPart], page: int) -> Page[TaskLogPart]:
        return Page(items=parts, number=page, size=len(parts), total_pages=1, total_items=len(parts))


@dataclass
class FakeCommands:
    """Commands that only put jobs into a `FakeReading`."""

    reading: FakeReading
    submitted: list[tuple[JobDefinition, IdempotencyKey | None]] = field(default_factory=list)
    submitters: list[Submitter] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    restarted: list[str] = field(default_factory=list)
    surgery: list[tuple[str, str, str]] = field(default_factory=list)
    """What was asked for: retry or skip, the job's or the task's id, and which task or why."""
    of_schedules: list[tuple[str, str]] = field(default_factory=list)
    failure: Exception | None = None
    known: dict[str, str] = field(default_factory=dict)
    accepted: threading.Event = field(default_factory=threading.Event)

    def submit(
        self, definition: JobDefinition, *, key: IdempotencyKey | None, submitter: Submitter = GUEST_SUBMITS
    ) -> Accepted:
        self._check()
        self.submitted.append((definition, key))
        self.submitters.append(submitter)
        if key is not None and key.key in self.known:
            return Accepted(job_id=self.known[key.key], repeated=True)
        job_id = uuid.uuid4().hex
        if key is not None:
            self.known[key.key] = job_id
        self.reading.put(
            a_job(job_id, name=definition.name, secrets=definition.secrets, inputs=definition.inputs, started_at=NOON)
        )
        self.accepted.set()
        return Accepted(job_id=job_id, repeated=False)

    def schedule(self, definition: JobDefinition, *, key: IdempotencyKey | None, submitter: Submitter) -> Accepted:
        self._check()
        schedule = a_schedule(uuid.uuid4().hex, definition)
        self.reading.schedules[schedule.id] = schedule
        self.submitted.append((definition, key))
        return Accepted(job_id=schedule.id, repeated=False, created_at=NOON)

    def pause_schedule(self, schedule_id: str) -> None:
        self._told("pause", schedule_id)

    def resume_schedule(self, schedule_id: str) -> None:
        self._told("resume", schedule_id)

    def delete_schedule(self, schedule_id: str) -> None:
        self._told("delete", schedule_id)

    def run_schedule(self, schedule_id: str) -> Accepted:
        self._told("run", schedule_id)
        self.reading.put(a_job("of-schedule"))
        return Accepted(job_id="of-schedule", repeated=False, created_at=NOON)

    def _told(self, what: str, schedule_id: str) -> None:
        self._check()
        self.reading.get_schedule(schedule_id)
        self.of_schedules.append((what, schedule_id))

    def cancel(self, job_id: str) -> None:
        self._check()
        self.cancelled.append(job_id)

    def restart(self, job_id: str) -> None:
        self._check()
        self.restarted.append(job_id)

    def retry(self, job_id: str, *, task_id: str = "") -> None:
        self._check()
        self.surgery.append(("retry", job_id, task_id))

    def skip(self, task_id: str, *, reason: str) -> None:
        self._check()
        self.surgery.append(("skip", task_id, reason))

    def _check(self) -> None:
        if self.failure is not None:
            raise self.failure


@dataclass
class FakeDoctor:
    """Finds one thing, and writes down whether it was to repair it."""

    treatments: list[bool] = field(default_factory=list)
    failure: Exception | None = None

    def examine(self) -> Diagnosis:
        if self.failure is not None:
            raise self.failure
        check = Check(name="jobs", ok=False, message="1 is stalled", ids=["j1"], repair="let it go on")
        return Diagnosis(ok=False, checks=[check])

    def treat(self, *, dry_run: bool = False) -> Treatment:
        self.treatments.append(dry_run)
        repairs = [Repair(name="jobs", action="let it go on", ids=["j1"])]
        return Treatment(dry_run=dry_run, repairs=repairs, after=self.examine())


def _summary(job: Job) -> JobSummary:
    return JobSummary(**{name: getattr(job, name) for name in JobSummary.__struct_fields__})


def _task_summary(task: Task) -> TaskSummary:
    shared: Sequence[str] = [name for name in TaskSummary.__struct_fields__ if name in Task.__struct_fields__]
    return TaskSummary(**{name: getattr(task, name) for name in shared})


def ended(job: Job, state: JobState = JobState.COMPLETED) -> Job:
    """The job after its end."""
    return replace(job, state=state, completed_at=NOON)


def events_of(body: bytes) -> list[tuple[str, Any, str]]:
    """Kind, data and id of server-sent events; comments are dropped."""
    events = []
    for block in body.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            events.append((fields["event"], msgspec.json.decode(fields["data"]), fields.get("id", "")))
    return events
