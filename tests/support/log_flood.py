"""A task that prints very many lines, whoever follows it, and how much memory the processes in between take meanwhile.

Each line has its number and the time at which it was printed, so whoever reads it knows what is missing, doubled or late.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psutil
import psycopg

from tests.support.daemon import Daemon
from tests.support.gates import Gate

LINE_LENGTH = 50
"""With its end."""
LOOK_SECONDS = 0.2
_NUMBER, _TIME = slice(5, 14), slice(15, 32)
_SCRIPT = """\
import os, sys, time
for number in range({lines}):
    sys.stdout.write(f"line {{number:09d}} {{time.time():17.6f}} of a longer log.\\n")
    if number == 0:
        sys.stdout.flush()
        while not os.path.exists({gate!r}):
            time.sleep(0.02)
    elif {pause} and not number % {pause_every}:
        sys.stdout.flush()
        time.sleep({pause})
"""


def flood(lines: int, gate: Gate, *, pause: float = 0.0, pause_every: int = 1000) -> dict[str, Any]:
    """A job of one task that prints so many lines: one at once, the others behind the gate, as fast as it can but for the pauses."""
    script = _SCRIPT.format(lines=lines, gate=str(gate.path), pause=pause, pause_every=pause_every)
    run = f"exec {sys.executable} - <<'END'\n{script}END\n"
    return {"name": "flood", "tasks": [{"name": "prints", "run": run}]}


class LineCheck:
    """Text in pieces that has to be the lines of a flood, each once and in order: `AssertionError` at the first that is not."""

    def __init__(self) -> None:
        self.count = 0
        self.printed_at: list[float] = []
        """Of the last line of each piece."""
        self._rest = ""

    def add(self, text: str) -> None:
        """Check one more piece."""
        lines = (self._rest + text).split("\n")
        self._rest = lines.pop()
        for line in lines:
            assert len(line) == LINE_LENGTH - 1, f"after {self.count} lines: {line!r}"
            assert line[_NUMBER] == f"{self.count:09d}", f"after {self.count} lines: {line!r}"
            self.count += 1
        if lines:
            self.printed_at.append(float(lines[-1][_TIME]))

    def end(self, expected: int) -> None:
        """Nothing more comes."""
        assert not self._rest, f"half a line: {self._rest!r}"
        assert self.count == expected


@dataclass
class Follower:
    """`torkctl logs -f`, what it showed and how late."""

    daemon: Daemon
    job_id: str
    check: LineCheck = field(default_factory=LineCheck)
    """Of all that was shown, once it has ended: checking meanwhile would take time from what is measured."""
    delays: list[float] = field(default_factory=list)
    """Of the oldest and the newest line of each piece it wrote, in seconds since they were printed."""
    error: Exception | None = None
    _size: int = 0
    _offset: int = 0
    """Where in a line the next piece begins."""

    def run(self) -> None:
        """Follow until the end."""
        command = [sys.executable, "-m", "torkctl", "logs", "-f", self.job_id]
        with subprocess.Popen(command, env=self.daemon.client_environment(), stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            try:
                self._read(process.stdout)
            finally:
                process.kill()

    @property
    def count(self) -> int:
        """How many lines were shown so far."""
        return self._size // LINE_LENGTH

    def _read(self, stdout: Any) -> None:
        shown: list[tuple[float, bytes]] = []
        while data := stdout.read1(1 << 20):
            shown.append((time.time(), data))
            self._size += len(data)
        for at, data in shown:
            self.check.add(data.decode())
            whole = data[LINE_LENGTH - self._offset :] if self._offset else data
            self._offset = (self._offset + len(data)) % LINE_LENGTH
            lines = [line for line in whole.split(b"\n") if len(line) == LINE_LENGTH - 1]
            self.delays += [at - float(line[_TIME]) for line in lines[:1] + lines[-1:]]


@contextmanager
def following(daemon: Daemon, job_id: str) -> Iterator[Follower]:
    """Follow the log of a job beside the block, which ends when the log does. Raises what the follower has found."""
    follower = Follower(daemon, job_id)

    def run() -> None:
        try:
            follower.run()
        except (AssertionError, OSError, ValueError) as error:
            follower.error = error

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield follower
    thread.join(timeout=120)
    assert not thread.is_alive(), f"the follower has not ended, after {follower.check.count} lines"
    if follower.error:
        raise follower.error


def stored_lines(dsn: str) -> LineCheck:
    """All that is stored of the only task, checked in the order of its numbers; raises if it was stored in another one."""
    check = LineCheck()
    with psycopg.connect(dsn) as connection, connection.cursor("parts") as cursor:
        cursor.itersize = 20
        cursor.execute("SELECT number, run_id, contents FROM task_log_parts ORDER BY seq")
        expected = 1
        for number, _run, contents in cursor:
            assert number == expected, f"part {number} is stored where {expected} should be"
            expected += 1
            check.add(contents)
    return check


class Memory:
    """The resident memory of processes, looked at while something happens. A context manager."""

    def __init__(self, groups: Mapping[str, Callable[[], Iterable[psutil.Process]]]) -> None:
        self._groups = groups
        self.before = self._look()
        self.most = dict(self.before)
        self.after: dict[str, int] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self.after = self._look()

    @property
    def growth(self) -> dict[str, int]:
        """By how many bytes each group was ever larger than before."""
        return {name: self.most[name] - self.before[name] for name in self._groups}

    def _watch(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            for name, size in self._look().items():
                self.most[name] = max(self.most[name], size)

    def _look(self) -> dict[str, int]:
        return {name: sum(_size(process) for process in group()) for name, group in self._groups.items()}


def torkd_processes(daemon: Daemon) -> list[psutil.Process]:
    """The daemon's own, without the tasks'."""
    root = psutil.Process(daemon.process.pid)
    return [root, *root.children()]


def percentile(values: list[float], percent: float) -> float:
    """So many percent of the values are not greater."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * percent / 100), len(ordered) - 1)] if ordered else float("nan")


def _size(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0
