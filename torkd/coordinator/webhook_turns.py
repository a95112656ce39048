"""Which servers may be sent to now, so that a few that never answer can't take what all others are sent with.

A server is slow when its last try took long, whatever came of it. Of slow servers one lane each is worked on, and a few in all:
the rest of the threads is for those that answer. A server that is new counts as quick until it has been tried.
"""

from __future__ import annotations

from collections import Counter, OrderedDict

PER_TARGET = 4
"""Lanes of one server that are worked on at a time."""
SLOW_SECONDS = 2.5
"""A try that takes longer makes a server slow, and one that does not makes it quick."""
SLOW_TOGETHER = 4
"""Lanes of all slow servers that are worked on at a time."""
_MOST_REMEMBERED = 1000
"""Slow servers; the one whose last try is the oldest counts as new again."""


class WebhookTurns:
    """What one process works on. To be used under its lock."""

    def __init__(self) -> None:
        self._running: Counter[str] = Counter()
        self._slow: OrderedDict[str, None] = OrderedDict()

    @property
    def count(self) -> int:
        """How many lanes are worked on."""
        return self._running.total()

    def begin(self, target: str) -> None:
        """A lane of this server is worked on."""
        self._running[target] += 1

    def end(self, target: str) -> None:
        """No more."""
        self._running[target] -= 1
        self._running = +self._running

    def tried(self, target: str, seconds: float) -> None:
        """A try took so long."""
        self._slow.pop(target, None)
        if seconds > SLOW_SECONDS:
            self._slow[target] = None
            if len(self._slow) > _MOST_REMEMBERED:
                self._slow.popitem(last=False)

    def busy(self) -> list[str]:
        """The servers of which no further lane may be begun now."""
        running_slow = sum(lanes for target, lanes in self._running.items() if target in self._slow)
        full = [
            target for target, lanes in self._running.items() if lanes >= (1 if target in self._slow else PER_TARGET)
        ]
        return [*{*full, *self._slow}] if running_slow >= SLOW_TOGETHER else full
