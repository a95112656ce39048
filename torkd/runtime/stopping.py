"""How a run is told to end, and why: the reason decides the error, and whether there is one to report at all."""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import StrEnum

from tork.errors import RuntimeFailure, TaskStopped, TaskTimedOut


class StopReason(StrEnum):
    """Why a run must end."""

    CANCELLED = "cancelled"
    """The task was cancelled, or another run owns it: nobody waits for a report."""
    TIMED_OUT = "timed out"
    """The task's timeout ran out: an ordinary failure."""
    DRAINED = "drained"
    """The worker shuts down: the task is handed back."""
    LEFT = "left"
    """The worker shuts down, and its successor can take the run up: leave it as it is. Ending it hands the task back."""


class StopSignal:
    """Set once, by the first reason that comes. Callbacks wake a runtime that waits for something else than an event."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []
        self.reason: StopReason | None = None
        self._text = ""

    def set(self, reason: StopReason, text: str) -> None:
        """End the run. `text` becomes the error; a second call changes nothing."""
        with self._lock:
            if self.reason is not None:
                return
            self.reason, self._text = reason, text
            self._event.set()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def is_set(self) -> bool:
        """Whether the run must end."""
        return self.reason is not None

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the run must end; False after `timeout` seconds."""
        return self._event.wait(timeout)

    def on_set(self, callback: Callable[[], None]) -> None:
        """Call this (from whatever thread sets the signal) once; at once if it is set already."""
        with self._lock:
            if self.reason is None:
                self._callbacks.append(callback)
                return
        callback()

    def error(self) -> RuntimeFailure:
        """The error a runtime raises for a run that was stopped."""
        kind = TaskTimedOut if self.reason is StopReason.TIMED_OUT else TaskStopped
        return kind(self._text or str(self.reason))
