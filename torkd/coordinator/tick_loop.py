"""The thread that looks at schedules when one is due: not before, and not again and again.

The database says how long that is, by its own clock. A schedule that this process has added or resumed wakes it; one of another
process is that one's to fire, and is found here at the next look at the latest.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence

from tork.errors import NotFound, StateConflict, TorkError, Unavailable
from torkd.coordinator.handle import Handled
from torkd.coordinator.ticks import Fired, fire_due
from torkd.datastore.protocol import Datastore

log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
"""Between looks when nothing is due: how long it takes at most to take over from a coordinator that has died."""
AGAIN_SECONDS = 0.02
"""Between looks when there is more to do, or somebody else is at it."""
LIMIT = 100
"""Schedules in one transaction."""
CLEAR_EVERY = 10.0
CLEAR_AGAIN = 1.0
"""While jobs of a schedule that was deleted are still to be removed: somebody may work on them."""
CLEAR_CHUNK = 200
MAX_SKIPS = 5
WAIT_SECONDS = 1.0
"""How long the replacement of a job waits for its lock, when it was passed over so often."""


class TickLoop:
    """One thread. `publish` sends what came of ticks, `cancel` ends a job, `tidy_soon` has removed what is to be deleted."""

    def __init__(
        self,
        datastore: Datastore,
        *,
        new_id: Callable[[], str],
        publish: Callable[[Handled], None],
        cancel: Callable[[str], None],
        tidy_soon: Callable[[], None],
    ) -> None:
        self._datastore = datastore
        self._new_id = new_id
        self._publish = publish
        self._cancel = cancel
        self._tidy_soon = tidy_soon
        self._wake = threading.Condition()
        self._is_woken = False
        self._stopping = False
        self._skips: Counter[str] = Counter()
        self._clear_at = float("-inf")

    def stop(self) -> None:
        """End `run`."""
        with self._wake:
            self._stopping = True
            self._wake.notify()

    def look(self) -> None:
        """Look now: something may be due sooner than it was."""
        with self._wake:
            self._is_woken = True
            self._wake.notify()

    def clear_soon(self) -> None:
        """Clear away soon, whatever is due: it could not be done now."""
        self._clear_at = time.monotonic() + CLEAR_AGAIN
        self.look()

    def run(self) -> None:
        """Look until stopped."""
        while not self._stopping:
            pause = LOOK_SECONDS
            try:
                pause = self.round()
            except TorkError as error:
                log.warning("can't look at schedules: %s", error)
            except Exception:
                log.exception("the loop of schedules goes on after an unexpected error")
            with self._wake:
                if not self._stopping and not self._is_woken:
                    self._wake.wait(pause)
                self._is_woken = False

    def round(self) -> float:
        """Fire what is due, and clear away; how many seconds there are until the next look."""
        due = self._fire()
        if time.monotonic() >= self._clear_at:
            self._clear_at = time.monotonic() + CLEAR_EVERY
            self.clear()
        seconds = 0.0 if due >= LIMIT else self._datastore.seconds_to_next_tick()
        longest = min(LOOK_SECONDS, max(self._clear_at - time.monotonic(), AGAIN_SECONDS))
        return longest if seconds is None else min(max(seconds + 0.002, AGAIN_SECONDS), longest)

    def _fire(self) -> int:
        """How many schedules were due."""
        fired = self._fire_some(limit=LIMIT)
        self._skips = Counter({schedule_id: self._skips[schedule_id] + 1 for schedule_id in fired.skipped})
        if late := [schedule_id for schedule_id, times in self._skips.items() if times >= MAX_SKIPS]:
            self._fire_some(limit=1, only=late[:1], wait=WAIT_SECONDS)
        return len(fired.looked_at)

    def _fire_some(self, *, limit: int, only: Sequence[str] = (), wait: float = 0.0) -> Fired:
        fired = fire_due(self._datastore, new_id=self._new_id, limit=limit, only=only, wait=wait)
        for handled in fired.handled:
            self._publish(handled)
        return fired

    def clear(self) -> None:
        """End the jobs of schedules that were deleted, and let them be removed, some at a time: the loop goes on with the rest."""
        cleared = self._datastore.clear_schedules(limit=CLEAR_CHUNK)
        for instance in cleared.instances:
            try:
                self._cancel(instance.job_id)
            except (NotFound, StateConflict):
                continue  # it has ended meanwhile
            except Unavailable:
                raise
            except Exception:
                log.exception("a job of a deleted schedule can't be cancelled", extra={"job_id": instance.job_id})
        if cleared.instances:
            cleared = self._datastore.clear_schedules(limit=CLEAR_CHUNK)
        if cleared.remaining:
            self._tidy_soon()
        if cleared.more:
            self._clear_at = time.monotonic()
        elif cleared.remaining:
            self._clear_at = time.monotonic() + CLEAR_AGAIN
