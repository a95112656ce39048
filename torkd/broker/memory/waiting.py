"""One sleeping thread that others can wake.

A condition variable makes a lock for every wait and wakes in its own order; here each consumer owns one wake-up, so that
a message wakes exactly the one consumer that it is meant for, however many sleep.
"""

from __future__ import annotations

import threading


class WakeUp:
    """Belongs to one thread that sleeps; any thread may ring. Rings before the sleep count, several count as one."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def sleep(self, timeout: float) -> bool:
        """Sleep until rung, at most `timeout` seconds. Whether it rang."""
        return self._lock.acquire(timeout=min(max(timeout, 0.0), threading.TIMEOUT_MAX))

    def ring(self) -> None:
        """Wake the sleeper. The caller holds the lock that guards this consumer, so that two rings can't meet."""
        if self._lock.locked():
            self._lock.release()

    def forget(self) -> None:
        """Drop a ring that came too late."""
        self._lock.acquire(blocking=False)
