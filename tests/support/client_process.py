"""torkctl as a process that tests talk to while it runs: its lines as they come, signals, its end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import IO

from tests.support.interrupts import interruptible
from tests.support.waiting import wait_until


class ClientProcess:
    """One command line under way. Its own session, so that Ctrl-C reaches it and nobody else."""

    def __init__(self, *arguments: str, environment: Mapping[str, str]) -> None:
        with interruptible():
            self.process = subprocess.Popen(
                [sys.executable, "-m", "torkctl", *arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.out: list[str] = []
        self.err: list[str] = []
        self._readers = [self._collect(self.process.stdout, self.out), self._collect(self.process.stderr, self.err)]

    def __enter__(self) -> ClientProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(timeout=10)
        for reader in self._readers:
            reader.join(timeout=10)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()

    def saw(self, text: str, *, within: float = 30, times: int = 1) -> None:
        """Wait until so many lines of stdout or stderr contain the text."""
        wait_until(lambda: self._lines_with(text) >= times, timeout=within, describe=self.told)

    def interrupt(self) -> None:
        """Ctrl-C: the signal goes to the whole foreground group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def ended(self, within: float = 60) -> int:
        """Wait for its end; the exit code."""
        try:
            code = self.process.wait(timeout=within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"torkctl still runs\n{self.told()}") from None
        for reader in self._readers:
            reader.join(timeout=10)
        return code

    def told(self) -> str:
        """All that it wrote."""
        return "\n".join(["stdout:", *self.out, "stderr:", *self.err])

    def _lines_with(self, text: str) -> int:
        return sum(text in line for line in [*self.out, *self.err])

    def _collect(self, stream: IO[str], lines: list[str]) -> threading.Thread:
        def read() -> None:
            for line in stream:
                lines.append(line.rstrip("\n"))  # noqa: PERF401 extend() would show them at the end only

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        return reader
