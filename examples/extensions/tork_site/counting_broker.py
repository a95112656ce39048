"""A broker that stands on another: it counts the tasks that are handed out, and leaves the rest to the one below."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tork_site.tally import Tally
from torkd.broker.memory import MemoryBroker
from torkd.broker.messages import RunTask

if TYPE_CHECKING:
    _Below = MemoryBroker
else:
    _Below = object


class CountingBroker(_Below):
    """The one of a process that is alone, with a count."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._below = MemoryBroker()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._below, name)

    def publish_tasks(self, tasks: Sequence[RunTask]) -> None:
        """Count what was confirmed."""
        self._below.publish_tasks(tasks)
        self._tally.count("tasks handed out", len(tasks))

    def send_tasks(self, tasks: Sequence[RunTask], on_confirmed: Callable[[], None]) -> None:
        """Count what is under way."""
        self._below.send_tasks(tasks, on_confirmed)
        self._tally.count("tasks handed out", len(tasks))
