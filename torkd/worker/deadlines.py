"""One thread for everything of a worker that is due later: timeouts of tasks, early acknowledgements.

A deadline that is cancelled in time, as nearly all are, costs two dictionary operations.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable

_LOG = logging.getLogger(__name__)


class Deadlines:
    """Calls what is due, from its own thread, one after the other: callbacks must be quick."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._due: dict[int, tuple[float, Callable[[], None]]] = {}
        self._numbers = itertools.count()
        self._wakes_at = float("inf")
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="worker-deadlines", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End; what is not due yet is never called."""
        with self._lock:
            self._closed = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()

    def add(self, seconds: float, callback: Callable[[], None]) -> int:
        """Call this in so many seconds. The number is for `cancel`."""
        due_at = time.monotonic() + seconds
        with self._lock:
            number = next(self._numbers)
            self._due[number] = (due_at, callback)
            if due_at < self._wakes_at:
                self._changed.notify()
        return number

    def cancel(self, number: int) -> None:
        """Don't call it, unless that has happened."""
        with self._lock:
            self._due.pop(number, None)

    def _serve(self) -> None:
        while True:
            with self._lock:
                if self._closed:
                    return
                now = time.monotonic()
                callbacks = [callback for due_at, callback in self._due.values() if due_at <= now]
                if callbacks:
                    self._due = {number: entry for number, entry in self._due.items() if entry[0] > now}
                else:
                    self._sleep(now)
            for callback in callbacks:
                _call(callback)

    def _sleep(self, now: float) -> None:
        self._wakes_at = min((due_at for due_at, _ in self._due.values()), default=float("inf"))
        self._changed.wait(min(self._wakes_at - now, threading.TIMEOUT_MAX))
        self._wakes_at = float("-inf")


def _call(callback: Callable[[], None]) -> None:
    try:
        callback()
    except Exception:  # noqa: BLE001 -- the thread must survive any callback
        _LOG.exception("something that was due failed")
