"""The port to whatever executes tasks: a shell, containers, or something an operator registered.

A runtime gets a run and blocks until it has ended *and* nothing of it is left: no process, container, volume or directory,
whether it succeeded, failed, timed out or was stopped. Everything printed has gone to `run.log` when it returns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from tork.task import TaskDefinition
from torkd.runtime.stopping import StopSignal


class LogSink(Protocol):
    """Takes what a run prints. May block for a while when logs can't be sent as fast: that slows the task, nothing is dropped."""

    def write(self, data: bytes) -> None:
        """Bytes of one stream as they came, not necessarily whole lines. May be called from several threads.

        Each thread or stream that writes uses a sink of its own from `stream()` so that lines are not torn apart.
        """

    def stream(self) -> LogSink:
        """A sink for one more stream of the same run; what it holds of an unfinished line is kept until `close`."""

    def close(self) -> None:
        """The stream has ended; an unfinished line is sent."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskRun:
    """One execution of a task."""

    task_id: str
    run_id: str
    node_id: str
    definition: TaskDefinition
    """Templates evaluated; limits, timeout and host environment filled in."""
    log: LogSink
    report_progress: Callable[[float], None]
    """Takes 0 to 100; may be called often, only changes are sent."""
    stop: StopSignal
    """Set when the run must end: cancelled, timed out (the worker keeps the deadline), drained."""
    labels: dict[str, str] = field(default_factory=dict)
    """What to mark resources with, so that leftovers are found."""


class Runtime(Protocol):
    """Executes tasks."""

    def run(self, run: TaskRun) -> str:
        """Run pre, main and post; the main task's output is the result.

        Raises `tork.errors.RuntimeFailure` with the text that becomes the task's error: `exit code N: <last 10 log lines>`.
        When `run.stop` is set it ends the run (TERM, grace, KILL), cleans up, and raises `run.stop.error()`.
        """

    def check_health(self) -> None:
        """Returns when tasks can be run. Raises `RuntimeFailure` saying what is missing."""

    def close(self) -> None:
        """Release what the runtime holds. No run is under way."""
