"""A thread that works off what was committed, for those for whom no commit may wait.

Best effort, on purpose: when too much waits, what comes is dropped; how much, the log says, at most once a minute.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")

MOST_WAITING = 10_000
AT_ONCE = 200
DROPS_TOLD_SECONDS = 60.0


class Afterwards(Generic[T]):
    """A queue and its thread. `add` may be called from any thread, started or not."""

    def __init__(
        self,
        name: str,
        work: Callable[[Sequence[T]], None],
        *,
        dropped: str,
        most_waiting: int = MOST_WAITING,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`work` is called with some at a time. `dropped` is what the log says of those that it never gets, with `%s` for their number."""
        self._name = name
        self._work = work
        self._drop_text = dropped
        self._most_waiting = most_waiting
        self._clock = clock
        self._change = threading.Condition()
        self._waiting: deque[T] = deque()
        self._dropped = 0
        self._drops_told_at = float("-inf")
        self._closing = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, once."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name=self._name, daemon=True)
            self._thread.start()

    def close(self, seconds: float) -> None:
        """Work off what waits, for so long, and end."""
        with self._change:
            self._closing = True
            self._change.notify()
        if self._thread is not None:
            self._thread.join(timeout=seconds)

    def add(self, items: Sequence[T]) -> None:
        """As many of them as there is room for."""
        if not items:
            return
        with self._change:
            room = self._most_waiting - len(self._waiting)
            self._waiting.extend(items[:room] if room < len(items) else items)
            self._dropped += max(len(items) - room, 0)
            self._change.notify()

    def _serve(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._waiting or self._closing)
                if not self._waiting:
                    return
                taken = [self._waiting.popleft() for _ in range(min(len(self._waiting), AT_ONCE))]
            try:
                self._work(taken)
            except Exception:
                log.exception("%s: %s changes could not be worked off", self._name, len(taken))
            self._tell_of_drops()

    def _tell_of_drops(self) -> None:
        now = self._clock()
        with self._change:
            if not self._dropped or now - self._drops_told_at < DROPS_TOLD_SECONDS:
                return
            dropped, self._dropped = self._dropped, 0
            self._drops_told_at = now
        log.warning(self._drop_text, dropped)
