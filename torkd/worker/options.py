"""What a worker needs to know about itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

EARLY_ACK_SECONDS = 20.0


@dataclass(frozen=True, kw_only=True)
class WorkerOptions:
    """The settings of one worker, seconds as floats."""

    node_id: str
    name: str = "Worker"
    hostname: str = ""
    port: int = 0
    version: str = ""
    queues: Mapping[str, int] = field(default_factory=lambda: {"default": 1})
    """Queue to slots: how many of its tasks run at the same time."""
    cpus: str = ""
    """For tasks that have no `limits.cpus`; likewise the next two."""
    memory: str = ""
    timeout: str = ""
    heartbeat_seconds: float = 5.0
    lease_seconds: float = 15.0
    """How long the coordinators go without a heartbeat before the tasks are handed out again."""
    drain_seconds: float = 30.0
    """How long running tasks have at shutdown."""
    grace_seconds: float = 10.0
    """How long a task that is stopped takes at most: the runtime's time between TERM and KILL."""
    logs_max_bytes: int = 64_000_000
    """What a task may print; the rest is left out."""
    host_variables: tuple[str, ...] = ()
    """`NAME` or `NAME:ALIAS`: variables of the worker that tasks get too."""
    claim_delay_seconds: float = 0.01
    """How long a run is kept to ourselves: nobody notices, and one that has ended by then needs no claim."""
    consumer_timeout_seconds: float = 1800.0
    """How long the broker lets a message stay in hand."""
    runs_directory: Path | None = None
    """Where runs are kept for a successor: a directory of this node alone. None: no run outlives the worker."""

    @property
    def early_ack_seconds(self) -> float:
        """When the message of a task that still runs is acknowledged."""
        return min(EARLY_ACK_SECONDS, self.consumer_timeout_seconds / 3)

    @property
    def ask_again_seconds(self) -> float:
        """When a run that waits for permission asks again: several times within a lease."""
        return self.lease_seconds / 3
