"""Events of the engine's own making, on their way to a batch loop.

They come from the clock, from heartbeats and from batches, and are found again in the database when the process dies. The
same one is often found twice before its turn comes: it waits once.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

from torkd.engine.events import EngineEvent


class OwnEvents:
    """A queue of different events. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[EngineEvent, None] = {}

    def add(self, events: Iterable[EngineEvent]) -> None:
        """Append those that do not wait yet."""
        with self._lock:
            for event in events:
                self._waiting.setdefault(event)

    def take(self, limit: int) -> list[EngineEvent]:
        """Remove the first ones, at most so many."""
        with self._lock:
            taken = [event for event, _ in zip(self._waiting, range(limit), strict=False)]
            for event in taken:
                del self._waiting[event]
        return taken

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._waiting.clear()
