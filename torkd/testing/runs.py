"""Builders for runs as runtimes get them, and a log that remembers."""

from __future__ import annotations

import shutil
import tempfile
import threading
import weakref
from pathlib import Path

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

    def stream(self, name: str = "") -> LogSink:
        """The same log: order is what tests look at."""
        return self

    @property
    def position(self) -> int:
        """Nothing was printed before."""
        return 0

    def close(self) -> None:
        """Nothing is held back."""

    @property
    def text(self) -> str:
        """All that was printed."""
        with self._lock:
            return self._written.decode("utf-8", "replace")


class RecordedRun:
    """A run with what it printed and told."""

    def __init__(self, definition: TaskDefinition, *, run_id: str = "r1", directory: Path | None = None) -> None:
        """`directory` is what `keep` answers; without it, a new one that goes with this object."""
        self._directory = directory
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
            keep=self._keep,
        )

    def _keep(self) -> Path:
        if self._directory is None:
            self._directory = Path(tempfile.mkdtemp(prefix="torkd-test-run-"))
            weakref.finalize(self, shutil.rmtree, self._directory, ignore_errors=True)
        return self._directory
