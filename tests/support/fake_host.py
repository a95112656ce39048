"""A machine whose containers outlive their worker, and runtimes that find them again.

A container prints what the test lets it print and ends when the test says so. `HostedRuntime.die` makes a runtime freeze, as a
process does that is killed: whatever its threads were about to do never happens.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection

from tork.errors import RunLeft, RuntimeFailure
from torkd.runtime.protocol import TaskRun
from torkd.runtime.stopping import StopReason

_LOOK_SECONDS = 0.002
_READ_SIZE = 7
"""Bytes at a time: lines come in pieces."""


class Container:
    """What runs on the host."""

    def __init__(self) -> None:
        self.printed = b""
        """Its log from the beginning."""
        self.result: str | None = None
        """Set when it has ended."""
        self.stopped = False


class FakeHost:
    """Keeps containers by the id of their run."""

    def __init__(self) -> None:
        self.containers: dict[str, Container] = {}
        self.begun: Counter[str] = Counter()
        """By task: how often a container was made for it."""
        self.ends_at_once = False
        """Whether new containers end as soon as they begin."""
        self.is_silent = False
        """Whether the engine does not answer."""
        self.the_end = threading.Event()
        """Set when the test is over: frozen threads go home."""

    def the_container(self) -> Container:
        """The only one."""
        (container,) = self.containers.values()
        return container


class HostedRuntime:
    """One incarnation of a runtime on the host."""

    def __init__(self, host: FakeHost) -> None:
        self.host = host
        self._begins_or_ends = threading.Lock()
        self.is_dead = False
        self.dies_before_removal = False
        """Whether it freezes when the outcome is settled, before the container is removed."""
        self.dies_after_removal = False
        self.can_leave = True
        self.resumed: list[str] = []
        self.active = 0

    def die(self) -> None:
        """As if killed: a run is at its beginning, at work or over, never in between."""
        with self._begins_or_ends:
            self.is_dead = True

    def run(self, run: TaskRun) -> str:
        """Make the container or find it again, and see it through."""
        self.active += 1
        try:
            with self._begins_or_ends:
                container = None if self.is_dead else self._begin(run)
            self._freeze_if(container is None)
            assert container is not None
            return self._see_through(run, container)
        finally:
            self.active -= 1

    def resumable(self) -> Collection[str]:
        """Those on the host."""
        if self.host.is_silent:
            raise RuntimeFailure("the engine does not answer")
        return list(self.host.containers)

    def check_health(self) -> None:
        """Always well."""

    def close(self) -> None:
        """Containers stay."""

    def _see_through(self, run: TaskRun, container: Container) -> str:
        sink = run.log.stream("main/stdout")
        read = sink.position
        while True:
            self._freeze_if(self.is_dead)
            has_ended = container.result is not None
            if read < len(container.printed):
                sink.write(container.printed[read : read + _READ_SIZE])
                read = min(read + _READ_SIZE, len(container.printed))
            elif has_ended:
                break
            elif run.stop.wait(_LOOK_SECONDS):
                sink.close()
                return self._stop(run, container)
        sink.close()
        with self._begins_or_ends:
            if not self.is_dead:
                self._end(run, container)
        self._freeze_if(self.is_dead or self.dies_before_removal or self.dies_after_removal)
        assert container.result is not None
        return container.result

    def _begin(self, run: TaskRun) -> Container:
        directory = run.keep()
        if run.stop.is_set() and not run.resumed:
            raise run.stop.error()
        (directory / "main").mkdir(exist_ok=True)
        if run.resumed:
            self.resumed.append(run.run_id)
        else:
            self.host.begun[run.task_id] += 1
            self.host.containers[run.run_id] = container = Container()
            container.result = "" if self.host.ends_at_once else None
        return self.host.containers[run.run_id]

    def _end(self, run: TaskRun, container: Container) -> None:
        assert container.result is not None
        run.settle(container.result)
        if not self.dies_before_removal:
            del self.host.containers[run.run_id]

    def _stop(self, run: TaskRun, container: Container) -> str:
        self._freeze_if(self.is_dead)
        if run.stop.reason is StopReason.LEFT and self.can_leave:
            raise RunLeft("its successor takes it up")
        container.stopped = True
        del self.host.containers[run.run_id]
        raise run.stop.error()

    def _freeze_if(self, condition: bool) -> None:
        if condition:
            self.is_dead = True
            self.host.the_end.wait(60)
            raise RunLeft("frozen")
