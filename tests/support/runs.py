"""Builders for runs as runtimes get them, and a log that remembers."""

from __future__ import annotations

import threading

from tork.task import TaskDefinition
from torkd.runtime.protocol import LogSink, TaskRun
from torkd.runtime.stopping import StopSignal


class RecordedLog:
    """A log sink that keeps everything; the streams of a run share what they keep."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._written = bytearray()

    def write(self, data: bytes) -> None:
        """Keep it."""
        with self._lock:
            self._written += data

    def stream(self) -> LogSink:
        """The same log: order is what tests look at."""
        return self

    def close(self) -> None:
        """Nothing is held back."""

    @property
    def text(self) -> str:
        """All that was printed."""
        with self._lock:
            return self._written.decode("utf-8", "replace")


class RecordedRun:
    """A run with what it printed and told."""

    def __init__(self, definition: TaskDefinition, *, run_id: str = "r1") -> None:
        self.log = RecordedLog()
        self.stop = StopSignal()
        self.progress: list[float] = []
        self.run = TaskRun(
            task_id="t1",
            run_id=run_id,
            node_id="n1",
            definition=definition,
            log=self.log,
            report_progress=self.progress.append,
            stop=self.stop,
        )
