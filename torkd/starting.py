"""Starting a daemon whose servers may be away for now: it serves at once, says that it is DOWN, and goes on trying.

Invariant: the steps are done in their order, and each succeeds once.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from tork.errors import TorkError, Unavailable

log = logging.getLogger(__name__)

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 5.0
_END_SECONDS = 5.0


class Starter:
    """Does the steps of a start, for as long as it takes."""

    def __init__(self, *steps: Callable[[], object]) -> None:
        """A step raises `Unavailable` when a server is away: then it has done nothing, and is tried again."""
        self._left: Sequence[Callable[[], object]] = steps
        self._reason = "it has not been started"
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, *steps: Callable[[], object]) -> None:
        """More steps, after those that are left."""
        self._left = [*self._left, *steps]

    def start(self) -> bool:
        """Do what can be done now; the rest is done later, in a thread. Whether nothing is left.

        Raises what is no matter of a server that is away, as `StartError`: trying again could not help.
        """
        try:
            self._go_on()
        except Unavailable as error:
            self._wait_for(error, FIRST_PAUSE)
            self._thread = threading.Thread(target=self._try_again, name="start", daemon=True)
            self._thread.start()
        return not self._left

    def check(self) -> None:
        """Returns when all is started. Raises `Unavailable`."""
        if self._left:
            raise Unavailable(f"not started yet: {self._reason}")

    def stop(self) -> None:
        """Begin no further step."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=_END_SECONDS)

    def _go_on(self) -> None:
        while self._left and not self._stopping.is_set():
            self._left[0]()
            self._left = self._left[1:]

    def _try_again(self) -> None:
        pause = FIRST_PAUSE
        while self._left and not self._stopping.wait(pause):
            pause = min(pause * 2, LONGEST_PAUSE)
            try:
                self._go_on()
            except TorkError as error:
                self._wait_for(error, pause)
            except Exception as error:
                log.exception("the start failed unexpectedly")
                self._wait_for(error, pause)
        if not self._left:
            log.info("started")

    def _wait_for(self, error: Exception, pause: float) -> None:
        self._reason = str(error)
        log.warning("can't start yet: %s; trying again in %g s", error, pause)
