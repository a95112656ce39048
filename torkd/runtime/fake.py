"""A runtime that a test scripts: what happens in a run is a Python function, or one of the words below in `run`.

It keeps the contract of every runtime, so a worker can't tell it from a real one. The words, one a line, in order:
`print TEXT`, `output TEXT`, `progress NUMBER`, `sleep SECONDS`, `exit CODE`, `crash`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection

from tork.errors import RuntimeFailure
from torkd.runtime.protocol import TaskRun

Behaviour = Callable[[TaskRun], str]


class FakeRuntime:
    """Runs nothing; does what it is told and remembers what it was asked."""

    def __init__(self, behaviour: Behaviour | None = None) -> None:
        self.behaviour: Behaviour = behaviour or follow_script
        self.runs: list[TaskRun] = []
        """Every run that was begun, in order."""
        self.failure: str | None = None
        """Set to make the health check fail."""
        self.resumable_runs: set[str] = set()
        """Runs that `run` can take up again, as far as this runtime knows."""
        self._lock = threading.Lock()
        self._active = 0

    @property
    def active_count(self) -> int:
        """How many runs are under way."""
        return self._active

    def run(self, run: TaskRun) -> str:
        """Do what the behaviour says."""
        with self._lock:
            self.runs.append(run)
            self._active += 1
        try:
            if run.stop.is_set():
                raise run.stop.error()
            return self.behaviour(run)
        finally:
            run.log.close()
            with self._lock:
                self._active -= 1

    def resumable(self) -> Collection[str]:
        """What `resumable_runs` says."""
        return frozenset(self.resumable_runs)

    def check_health(self) -> None:
        """Fails when `failure` is set."""
        if self.failure is not None:
            raise RuntimeFailure(self.failure)

    def close(self) -> None:
        """Nothing to release."""


def follow_script(run: TaskRun) -> str:
    """Carry out pre, main and post, each by the words of its script. The result is the main task's."""
    definition = run.definition
    for step in definition.pre:
        _follow(step.run, run)
    result = _follow(definition.run, run)
    for step in definition.post:
        _follow(step.run, run)
    return result


def _follow(script: str, run: TaskRun) -> str:
    output = ""
    printed: list[str] = []
    for line in script.splitlines():
        word, _, rest = line.strip().partition(" ")
        match word:
            case "print":
                printed.append(rest)
                run.log.write(f"{rest}\n".encode())
            case "output":
                output += rest
            case "progress":
                run.report_progress(float(rest))
            case "sleep":
                if run.stop.wait(float(rest)):
                    raise run.stop.error()
            case "exit":
                if rest != "0":
                    raise RuntimeFailure(f"exit code {rest}: " + "\n".join(printed[-10:]))
                break
            case "crash":
                raise ZeroDivisionError(rest or "a bug")
    return output
