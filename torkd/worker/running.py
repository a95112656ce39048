"""The runs of one worker that have not ended yet, and what coordinators order about them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from datetime import datetime

from torkd.broker.messages import RunClaimed, RunReference, RunTask
from torkd.runtime.stopping import StopReason, StopSignal
from torkd.worker.kept import KeptRun


class Run:
    """One execution of a task."""

    __slots__ = (
        "_answered",
        "_lock",
        "_must_end",
        "granted",
        "has_ended",
        "has_started",
        "kept",
        "message",
        "resumed",
        "run_id",
        "started_at",
        "stop",
    )

    def __init__(self, message: RunTask, run_id: str, started_at: datetime) -> None:
        self.message = message
        self.run_id = run_id
        self.started_at = started_at
        self.stop = StopSignal()
        self.has_started = False
        """Only then do heartbeats name it: they count as its claim."""
        self.has_ended = False
        """Whether nothing of it is alive any more; the report may still be on its way."""
        self.kept: KeptRun | None = None
        """Its directory, once the runtime has asked for one."""
        self.resumed = False
        """Whether a predecessor of this worker began it."""
        self.granted = False
        self._answered: threading.Event | None = None
        self._lock = threading.Lock()
        self._must_end = False
        """Whether a shutdown found it not kept: from then on it can't be."""

    @classmethod
    def taken_up(cls, kept: KeptRun) -> Run:
        """The run that a predecessor began."""
        run = cls(kept.record.message, kept.record.run_id, kept.record.started_at)
        run.kept, run.resumed, run.has_started = kept, True, True
        run.has_ended = kept.outcome is not None
        return run

    @property
    def is_lasting(self) -> bool:
        """Whether a successor can take it up."""
        return self.kept is not None and self.kept.is_lasting

    def keep(self, kept: KeptRun) -> bool:
        """This is its directory. False when a shutdown was faster: the run is stopped, and must not begin."""
        with self._lock:
            if not self._must_end:
                self.kept = kept
            return not self._must_end

    def shut_down(self, reason: StopReason, text: str, *, leave: bool) -> None:
        """End it; with `leave`, leave it to a successor that can take it up."""
        with self._lock:
            is_left = leave and self.is_lasting
            self._must_end = not is_left
        self.stop.set(StopReason.LEFT if is_left else reason, text)

    def expect_answer(self) -> None:
        """This run asks before it starts."""
        self._answered = threading.Event()
        self.stop.on_set(self._answered.set)

    def grant(self) -> None:
        """It may start."""
        self.granted = True
        if self._answered is not None:
            self._answered.set()

    def wait_for_answer(self, seconds: float) -> bool:
        """Whether an answer, or an order to stop, came within so many seconds."""
        return self._answered is None or self._answered.wait(seconds)

    def reference(self) -> RunReference:
        """What heartbeats say of it."""
        message = self.message
        return RunReference(
            task_id=message.task_id,
            job_id=message.job_id,
            root_id=message.root_id,
            dispatch=message.dispatch,
            run_id=self.run_id,
            started_at=self.started_at,
        )

    def claim(self, node_id: str, lease_id: str, *, redelivered: bool) -> RunClaimed:
        """That it has started, or asks whether it may."""
        message = self.message
        return RunClaimed(
            task_id=message.task_id,
            job_id=message.job_id,
            root_id=message.root_id,
            dispatch=message.dispatch,
            run_id=self.run_id,
            node_id=node_id,
            lease_id=lease_id,
            started_at=self.started_at,
            redelivered=redelivered,
        )


class Runs:
    """All runs by their id. Orders about an id that is not here any more, or never was, are ignored."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: dict[str, Run] = {}
        self._stop_all: Callable[[Run], None] | None = None

    def add(self, run: Run) -> None:
        """A run begins. After `stop_all` it is stopped at once."""
        with self._lock:
            self._runs[run.run_id] = run
            stop = self._stop_all
        if stop is not None:
            stop(run)

    def remove(self, run: Run) -> None:
        """It has ended, and nothing of it is left."""
        with self._lock:
            self._runs.pop(run.run_id, None)

    def grant(self, run_ids: Iterable[str]) -> None:
        """These may start."""
        for run in self._known(run_ids):
            run.grant()

    def stop(self, run_ids: Iterable[str]) -> None:
        """End these: nobody waits for their reports."""
        for run in self._known(run_ids):
            run.stop.set(StopReason.CANCELLED, "the task was cancelled, or another run owns it")

    def stop_all(self, reason: StopReason, text: str, *, leave: bool = False) -> None:
        """End all, and those that are yet to come. With `leave`, those that a successor can take up are left to it."""

        def stop(run: Run) -> None:
            run.shut_down(reason, text, leave=leave)

        with self._lock:
            self._stop_all = stop
            runs = list(self._runs.values())
        for run in runs:
            stop(run)

    def references(self) -> list[RunReference]:
        """Those that have started."""
        with self._lock:
            runs = list(self._runs.values())
        return [run.reference() for run in runs if run.has_started]

    def alive_count(self) -> int:
        """How many still have something alive."""
        with self._lock:
            return sum(not run.has_ended for run in self._runs.values())

    def __len__(self) -> int:
        return len(self._runs)

    def _known(self, run_ids: Iterable[str]) -> list[Run]:
        with self._lock:
            return [run for run_id in run_ids if (run := self._runs.get(run_id))]
