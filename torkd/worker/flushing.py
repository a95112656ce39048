"""The one thread that sends what was printed a moment ago, for all runs of a worker."""

from __future__ import annotations

import logging
import threading
from typing import Protocol

FLUSH_SECONDS = 0.2

_LOG = logging.getLogger(__name__)


class Flushable(Protocol):
    """A log with something to send."""

    def flush(self) -> bool:
        """Send it; False when that must be tried again."""


class LogFlusher:
    """Sleeps while nothing is printed; otherwise flushes every `FLUSH_SECONDS` what was added."""

    def __init__(self, interval_seconds: float = FLUSH_SECONDS) -> None:
        self._interval_seconds = interval_seconds
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._added: dict[Flushable, None] = {}
        self._idle = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="worker-logs", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End, without a last flush: every run flushes its own log at its end."""
        self._closing.set()
        with self._lock:
            self._work.notify()
        if self._thread.is_alive():
            self._thread.join()

    def add(self, log: Flushable) -> None:
        """Flush this log soon."""
        with self._lock:
            self._added[log] = None
            if self._idle:
                self._idle = False
                self._work.notify()

    def discard(self, log: Flushable) -> None:
        """Its run has ended and flushed it."""
        with self._lock:
            self._added.pop(log, None)

    def _serve(self) -> None:
        was_busy = False
        while not self._closing.wait(self._interval_seconds):
            with self._lock:
                if not self._added and not was_busy:
                    self._idle = True
                    self._work.wait_for(lambda: not self._idle or self._closing.is_set())
                    was_busy = True
                    continue  # what was just printed may have more to follow
                logs, self._added = self._added, {}
            was_busy = bool(logs)
            for log in logs:
                if not _flushed(log):
                    self.add(log)


def _flushed(log: Flushable) -> bool:
    try:
        return log.flush()
    except Exception:  # noqa: BLE001 -- the thread must survive any log
        _LOG.exception("a part of a task's log could not be sent")
        return True
