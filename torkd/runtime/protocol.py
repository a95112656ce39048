"""The port to whatever executes tasks: a shell, containers, or something an operator registered.

A runtime gets a run and blocks until it has ended *and* nothing of it is left: no process, container, volume or directory,
whether it succeeded, failed, timed out or was stopped. Everything printed has gone to `run.log` when it returns.

A runtime whose runs outlive the worker, as containers do, may have one taken up again by the worker's successor. It calls
`run.keep` before it makes anything of a run, answers in `resumable` which runs are still there, and takes those up when `run`
is called with `resumed`. No other runtime has to do anything for that.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tork.errors import RuntimeFailure
from tork.task import TaskDefinition
from torkd.runtime.stopping import StopSignal


class LogSink(Protocol):
    """Takes what a run prints. May block for a while when logs can't be sent as fast: that slows the task, nothing is dropped."""

    @property
    def position(self) -> int:
        """How many bytes of the named source this stream writes are in the log already.

        0 unless the run was resumed: then whoever reads the source from its beginning again leaves out so many bytes. Where
        the stream was cut because the log is too long, the number may be smaller than what was written.
        """

    def write(self, data: bytes) -> None:
        """Bytes of one stream as they came, not necessarily whole lines. May be called from several threads.

        Each thread or stream that writes uses a sink of its own from `stream()` so that lines are not torn apart.
        """

    def stream(self, name: str = "") -> LogSink:
        """A sink for one more stream of the same run; what it holds of an unfinished line is kept until `close`.

        `name` is that of a source that can be read from its beginning again after a restart, such as `main/stdout`: each has
        one stream at most in the life of a worker. Without a name, `position` says nothing.
        """

    def close(self) -> None:
        """The stream has ended; an unfinished line is sent."""


def _nothing(_: str | RuntimeFailure) -> None:
    pass


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
    """Set when the run must end: cancelled, timed out (the worker keeps the deadline), drained, left to a successor."""
    keep: Callable[[], Path]
    """Makes it possible to resume the run: to be called before anything is made of it, and again when it is resumed.

    The answer is a directory (0700) that is the run's own and outlives the worker; what the runtime puts there may belong to
    any user, and names that begin with `torkd-` are the worker's. It is removed when the run is over. Raises `RuntimeFailure`
    when it can't be made.
    """
    settle: Callable[[str | RuntimeFailure], None] = _nothing
    """Takes the result, or the failure, once it is final: a kept run is then never executed again, only reported.

    To be called with nothing more to be printed, before what a successor would need is removed: whoever kills the worker in
    between changes nothing. Without it the run counts as over when `run` returns.
    """
    resumed: bool = False
    """Whether the run was begun by a worker that is gone: its containers are taken up, and nothing is begun twice."""
    labels: dict[str, str] = field(default_factory=dict)
    """What to mark resources with, so that leftovers are found."""


class Runtime(Protocol):
    """Executes tasks."""

    def run(self, run: TaskRun) -> str:
        """Run pre, main and post; the main task's output is the result.

        Raises `tork.errors.RuntimeFailure` with the text that becomes the task's error: `exit code N: <last 10 log lines>`.
        When `run.stop` is set it ends the run (TERM, grace, KILL), cleans up, and raises `run.stop.error()`. With the reason
        `StopReason.LEFT` it may leave the run as it is, and raise `tork.errors.RunLeft`: then a successor resumes it. All of
        that holds for a resumed run too, even when `run.stop` is set from the start.
        """

    def resumable(self) -> Collection[str]:
        """The ids of this node's runs of which something is still there and that `run` can take up again.

        Asked at the start of every worker: before the first run when runs were kept, and else without waiting for the answer.
        May take a while; raises `RuntimeFailure` when it can't be known now.
        """

    def check_health(self) -> None:
        """Returns when tasks can be run. Raises `RuntimeFailure` saying what is missing."""

    def close(self) -> None:
        """Release what the runtime holds. No run is under way."""
