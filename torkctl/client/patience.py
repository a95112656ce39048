"""How long and how often an unreachable server is tried again.

Invariant: the window counts only time without any answer; each success opens a new one.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from torkctl.errors import NoAnswer, Unreached

_FIRST_DELAY_SECONDS = 0.1
_LONGEST_DELAY_SECONDS = 5.0
_LONGEST_ADVISED_DELAY_SECONDS = 30.0


def _ignore(_text: str) -> None:
    return


@dataclass(kw_only=True)
class Patience:
    """Sleeps between attempts, longer each time, until the window without any answer is over."""

    window_seconds: float
    stop: threading.Event = field(default_factory=threading.Event)
    clock: Callable[[], float] = time.monotonic
    tell: Callable[[str], None] = _ignore
    """Called once when the server goes away and once when it is back."""

    once: bool = False
    """For what must not be done twice: only a server that was not reached at all is tried again."""

    failures: int = 0
    """How often it was tried in vain; a request after the first may repeat one that was carried out."""
    _away_since: float | None = None
    _delay_seconds: float = _FIRST_DELAY_SECONDS

    def answered(self) -> None:
        """The server answered: whatever was counted is forgotten, except how often a stream was lost."""
        if self._away_since is not None:
            self.tell("the server answers again")
        self._away_since = None

    def settled(self) -> None:
        """Things go well: the next pause is a short one again."""
        self._delay_seconds = _FIRST_DELAY_SECONDS

    def failed(self, error: NoAnswer) -> None:
        """Wait before the next attempt. Raises the error when the window is over, or when told to stop."""
        self.failures += 1
        if self.stop.is_set() or (self.once and not isinstance(error, Unreached)):
            raise error
        now = self.clock()
        if self._away_since is None:
            self._away_since = now
            if self.window_seconds > 0:
                self.tell(f"{error}; trying again for up to {self.window_seconds:g}s")
        left = self._away_since + self.window_seconds - now
        if left <= 0:
            raise error
        advised = min(error.retry_after or 0.0, _LONGEST_ADVISED_DELAY_SECONDS)
        self.stop.wait(min(left, max(advised, self._next_delay())))

    def pause(self) -> None:
        """Wait before a stream that ended too early is opened again."""
        self.stop.wait(self._next_delay())

    def _next_delay(self) -> float:
        delay = self._delay_seconds
        self._delay_seconds = min(delay * 2, _LONGEST_DELAY_SECONDS)
        return delay * random.uniform(0.75, 1.0)  # noqa: S311 - spreads clients, guards nothing
