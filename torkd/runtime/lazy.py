"""A runtime that is made when it is first needed, because making it takes long and most jobs don't need it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection

from torkd.runtime.protocol import Runtime, TaskRun


class LazyRuntime:
    """Stands for what `make` makes; a `make` that fails with `RuntimeFailure` is tried again by the next task."""

    def __init__(self, make: Callable[[], Runtime], *, is_wanted: Callable[[], bool]) -> None:
        """`is_wanted` tells whether runs of before may be there, so that it has to be made at the start."""
        self._make = make
        self._is_wanted = is_wanted
        self._lock = threading.Lock()
        self._made: Runtime | None = None

    def run(self, run: TaskRun) -> str:
        """Run it."""
        return self._runtime().run(run)

    def resumable(self) -> Collection[str]:
        """The runs of before, if there may be any."""
        return self._runtime().resumable() if self._is_wanted() else ()

    def check_health(self) -> None:
        """Make it, and ask it."""
        self._runtime().check_health()

    def close(self) -> None:
        """Close it, if it was made."""
        if self._made is not None:
            self._made.close()

    def _runtime(self) -> Runtime:
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made
