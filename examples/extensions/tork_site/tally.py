"""Counts by name. Middleware is called from several threads at once."""

from __future__ import annotations

import threading
from collections import Counter


class Tally:
    """What has happened in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def count(self, name: str, number: int = 1) -> None:
        """It has happened once, or so often, more."""
        with self._lock:
            self._counts[name] += number

    def counts(self) -> dict[str, int]:
        """All of it by name."""
        with self._lock:
            return dict(self._counts)
