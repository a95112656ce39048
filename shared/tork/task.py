"""Tasks: what a job file says of one (`TaskDefinition`), and one that runs or ran (`Task`).

A definition never holds state, so that what `GET /jobs/{id}` shows under `tasks` can be posted again as it is.
The field descriptions here are the ones in the JSON Schema, the OpenAPI document and the docs.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, field

from tork.wire import Given, Told

MAX_PRIORITY = 9
DEFAULT_QUEUE = "default"

COORDINATOR_QUEUES = frozenset(
    {"pending", "started", "completed", "error", "heartbeat", "jobs", "logs", "progress", "redeliveries", "dead"}
)
"""Names that tasks can't be sent to: the coordinators read these."""

PRIVATE_QUEUE_PREFIX = "x-"
"""A queue that belongs to one node starts with this."""


def is_task_queue(name: str) -> bool:
    """Whether tasks may be sent to a queue of this name."""
    return bool(name) and name not in COORDINATOR_QUEUES and not name.startswith(PRIVATE_QUEUE_PREFIX)


class TaskState(StrEnum):
    """The states of a task; which change is legal is in `torkd.engine.transitions`."""

    CREATED = "CREATED"
    PENDING = "PENDING"
    SCHEDULED = "SCHEDULED"
    RUNNING = "RUNNING"
    CANCELLED = "CANCELLED"
    STOPPED = "STOPPED"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"

    @property
    def is_active(self) -> bool:
        """Whether more is to come."""
        return self in _ACTIVE_STATES


_ACTIVE_STATES = frozenset({TaskState.CREATED, TaskState.PENDING, TaskState.SCHEDULED, TaskState.RUNNING})


class Retry(Given, frozen=True, kw_only=True):
    """How often and how fast a failed task is run again."""

    limit: Annotated[int, Meta(description="How many times a failed task is run again, 1 to 10")] = 0
    initial_delay: Annotated[str, Meta(description="Wait before the first retry, at most 5m; 1s when absent")] = ""
    scaling_factor: Annotated[
        float, Meta(description="Each further wait is this many times longer, at most 10; 2 when absent")
    ] = 0


class RetryProgress(Retry, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """The retry policy of a task that runs, with the retries made so far."""

    attempts: int = 0


class Limits(Given, frozen=True, kw_only=True):
    """What a task may use of its machine."""

    cpus: Annotated[str, Meta(description="Processors, such as '2', '.5' or '1/2'")] = ""
    memory: Annotated[str, Meta(description="Memory, such as '512m' or '1.5g'")] = ""


class Registry(Given, frozen=True, kw_only=True):
    """Credentials for pulling the image."""

    username: Annotated[str, Meta(description="User name at the registry; may hold {{ }}")] = ""
    password: Annotated[str, Meta(description="Password at the registry; may hold {{ }}")] = ""


class Mount(Given, frozen=True, kw_only=True):
    """A place of the host or of a volume, seen inside the task's containers."""

    type: Annotated[str, Meta(description="volume, bind, tmpfs, or the name of a registered mounter")] = ""
    source: Annotated[str, Meta(description="bind: the path on the host")] = ""
    target: Annotated[str, Meta(description="The path in the container")] = ""
    opts: Annotated[
        dict[str, str], Meta(description="volume: options of its driver; bind: readonly; tmpfs: size, mode")
    ] = {}


class Probe(Given, frozen=True, kw_only=True):
    """When a sidecar counts as ready: its HTTP answer is 200."""

    path: Annotated[str, Meta(description="The path to GET, such as /health")] = ""
    port: Annotated[int, Meta(description="The port inside the container, 1 to 65535")] = 0
    timeout: Annotated[str, Meta(description="How long to wait for the first good answer; 1m when absent")] = ""


class AuxTask(Given, frozen=True, kw_only=True):
    """A step before (`pre`) or after (`post`) the main one, on the same worker, with the same mounts and networks."""

    name: Annotated[str, Meta(description="What the step is called")] = ""
    description: Annotated[str, Meta(description="What the step is for")] = ""
    image: Annotated[str, Meta(description="The container image; may hold {{ }}")] = ""
    run: Annotated[str, Meta(description="The script to run, taken as it is")] = ""
    cmd: Annotated[list[str], Meta(description="The container's command; may hold {{ }}")] = []
    entrypoint: Annotated[list[str], Meta(description="The container's entry point")] = []
    env: Annotated[dict[str, str], Meta(description="Environment variables; the values may hold {{ }}")] = {}
    files: Annotated[dict[str, str], Meta(description="Files put into the working directory: name to content")] = {}
    registry: Annotated[Registry | None, Meta(description="Credentials for pulling the image")] = None
    timeout: Annotated[str, Meta(description="How long the step may take")] = ""


class Sidecar(AuxTask, frozen=True, kw_only=True):
    """A container that runs beside the main one."""

    probe: Annotated[Probe | None, Meta(description="When the sidecar counts as ready")] = None


class OnFailure(StrEnum):
    """What becomes of the other children of a parallel or an each when one has failed."""

    STOP = "stop"
    CONTINUE = "continue"


class Parallel(Given, frozen=True, kw_only=True):
    """Tasks that run at the same time."""

    tasks: Annotated[list[TaskDefinition], Meta(description="The tasks, at least one; their names are optional")] = []
    on_failure: Annotated[
        str,
        Meta(description="When one fails: stop the others (the default), or continue with them and fail at the end"),
    ] = ""


class Each(Given, frozen=True, kw_only=True):
    """One task, run once for every element of a list."""

    list: Annotated[str, Meta(description="An expression that gives the list, such as {{ sequence(1,5) }}")] = ""
    task: Annotated[TaskDefinition | None, Meta(description="The task to run; its name is optional")] = None
    var: Annotated[str, Meta(description="The name under which the task sees its element; 'item' when absent")] = ""
    concurrency: Annotated[int, Meta(description="How many may run at once, 0 to 99999; 0 for no limit")] = 0
    on_failure: Annotated[
        str,
        Meta(description="When one fails: stop the others (the default), or continue with them and fail at the end"),
    ] = ""


class WebhookDefinition(Given, frozen=True, kw_only=True):
    """An address that is told of state changes."""

    url: Annotated[str, Meta(description="Where the event is posted")] = ""
    headers: Annotated[dict[str, str], Meta(description="Headers to send; the values may hold {{ }}")] = {}
    event: Annotated[
        str, Meta(description="job.StateChange (also when absent), job.Progress, task.StateChange or task.Progress")
    ] = ""
    if_: Annotated[str, Meta(description="An expression over job and task that must be true")] = field(
        name="if", default=""
    )


class AutoDelete(Given, frozen=True, kw_only=True):
    """When a completed job is removed."""

    after: Annotated[str, Meta(description="How long after its completion, such as 24h")] = ""


class SubJob(Given, frozen=True, kw_only=True):
    """A whole job that runs as one task."""

    name: Annotated[str, Meta(description="What the job is called; may hold {{ }}")] = ""
    description: Annotated[str, Meta(description="What the job is for")] = ""
    tasks: Annotated[list[TaskDefinition], Meta(description="Its tasks, at least one")] = []
    inputs: Annotated[dict[str, str], Meta(description="Its inputs; the values may hold {{ }} of the parent job")] = {}
    secrets: Annotated[
        dict[str, str], Meta(description="Its secrets; the values may hold {{ }} of the parent job")
    ] = {}
    auto_delete: Annotated[AutoDelete | None, Meta(description="When it is removed")] = None
    output: Annotated[str, Meta(description="A template evaluated at its end; becomes its result")] = ""
    detached: Annotated[bool, Meta(description="Whether the parent job goes on without waiting for it")] = False
    webhooks: Annotated[
        list[WebhookDefinition], Meta(description="Addresses that are told of its changes, up to 100")
    ] = []
    id: Annotated[str, Meta(description="Accepted for compatibility and ignored")] = ""


class TaskDefinition(Given, frozen=True, kw_only=True):
    """One task as a job file says it."""

    name: Annotated[str, Meta(description="What the task is called; may hold {{ }}")] = ""
    description: Annotated[str, Meta(description="What the task is for")] = ""
    image: Annotated[str, Meta(description="The container image; may hold {{ }}. Without one it runs in the shell")] = (
        ""
    )
    run: Annotated[str, Meta(description="The script to run, taken as it is")] = ""
    cmd: Annotated[list[str], Meta(description="The container's command; may hold {{ }}")] = []
    entrypoint: Annotated[list[str], Meta(description="The container's entry point")] = []
    env: Annotated[dict[str, str], Meta(description="Environment variables; the values may hold {{ }}")] = {}
    files: Annotated[dict[str, str], Meta(description="Files put into the working directory: name to content")] = {}
    workdir: Annotated[str, Meta(description="The working directory in the container, at most 256 characters")] = ""
    queue: Annotated[str, Meta(description="The queue whose workers may run it; may hold {{ }}")] = ""
    pre: Annotated[list[AuxTask], Meta(description="Steps before the main one")] = []
    post: Annotated[list[AuxTask], Meta(description="Steps after the main one, if it succeeded")] = []
    sidecars: Annotated[list[Sidecar], Meta(description="Containers that run beside the main one")] = []
    mounts: Annotated[list[Mount], Meta(description="Volumes and directories seen in the containers")] = []
    networks: Annotated[list[str], Meta(description="Networks to join")] = []
    registry: Annotated[Registry | None, Meta(description="Credentials for pulling the image")] = None
    retry: Annotated[Retry | None, Meta(description="What happens after a failure")] = None
    limits: Annotated[Limits | None, Meta(description="What the task may use of its machine")] = None
    timeout: Annotated[str, Meta(description="How long the task may take in all, such as 30s or 1h30m")] = ""
    var: Annotated[str, Meta(description="Later tasks see the result as tasks.<var>, at most 64 characters")] = ""
    if_: Annotated[str, Meta(description="The task is skipped when this comes out as exactly 'false'")] = field(
        name="if", default=""
    )
    parallel: Annotated[Parallel | None, Meta(description="Tasks to run at the same time")] = None
    each: Annotated[Each | None, Meta(description="A task to run for every element of a list")] = None
    subjob: Annotated[SubJob | None, Meta(description="A job to run as this task")] = None
    gpus: Annotated[str, Meta(description="GPUs as docker run --gpus takes them")] = ""
    tags: Annotated[list[str], Meta(description="Words to find the task by")] = []
    priority: Annotated[int, Meta(description="0 to 9; 9 goes first within a queue")] = 0


class EachProgress(Each, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """An each that runs: its size and how far it is."""

    size: int = 0
    completions: int = 0
    failures: int = 0
    index: int = 0


class ParallelProgress(Parallel, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """A parallel that runs, with the children that are done."""

    completions: int = 0
    failures: int = 0


class Task(TaskDefinition, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """One task of a job that runs or ran, its templates evaluated."""

    id: str = ""
    job_id: str = ""
    parent_id: str = ""
    position: int = 0
    state: TaskState | None = None
    created_at: datetime | None = None
    scheduled_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    failed_at: datetime | None = None
    redelivered: int = 0
    error: str = ""
    node_id: str = ""
    result: str = ""
    reason: str = ""
    item_index: int = 0
    progress: float = 0  # an integer: only that is left out of the JSON
    retry: RetryProgress | None = None
    parallel: ParallelProgress | None = None
    each: EachProgress | None = None


class TaskSummary(Told, frozen=True, kw_only=True):
    """A task in few words: what webhooks and live streams send."""

    id: str = ""
    job_id: str = ""
    parent_id: str = ""
    position: int = 0
    progress: float = 0  # an integer: only that is left out of the JSON
    name: str = ""
    description: str = ""
    state: TaskState | None = None
    created_at: datetime | None = None
    scheduled_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    failed_at: datetime | None = None
    error: str = ""
    result: str = ""
    var: str = ""
    tags: list[str] = []
    node_id: str = ""
    attempts: int = 0
    reason: str = ""
