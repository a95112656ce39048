"""An outage told once a minute instead of by every thread at every try.

While a server is away whoever needs it says so again and again. Everybody's first line is let through, for it says what that
means; then one a minute of them all, with the number of those that were left out. Everything else is let through.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field

from tork.errors import Unavailable

EVERY_SECONDS = 60.0
OVER_SECONDS = 30.0
"""When nobody has spoken of an outage for so long, the next who does speaks of another."""
_POOL = "psycopg.pool"
# tells of every connection that can't be made; those who wanted one tell of it, too
_TRACES = "opentelemetry."
# tells of every attempt to reach a collector, and of every span that is dropped meanwhile; it says how bad that is as it likes


@dataclass(slots=True)
class _Outage:
    """What was said of one server that is away."""

    last_at: float
    told_at: float
    """When a line was last let through."""
    left_out: int = 0
    places: set[tuple[str, object]] = field(default_factory=set)
    """Who has spoken: each has words of its own."""


class Repeats(logging.Filter):
    """A filter for a handler. `repeated` is a field of the lines that stand for others."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._outages: dict[str, _Outage] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name == _POOL and record.levelno < logging.ERROR:
            return False
        server = _server_of(record)
        if server is None:
            return True
        with self._lock:
            return self._is_told(server, record)

    def _is_told(self, server: str, record: logging.LogRecord) -> bool:
        now = record.created
        outage = self._outages.get(server)
        if outage is None or now - outage.last_at > OVER_SECONDS:
            outage = self._outages[server] = _Outage(now, now)
        outage.last_at = now
        place = (record.name, "" if record.name.startswith(_TRACES) else record.msg)
        if place in outage.places:
            if now - outage.told_at < EVERY_SECONDS:
                outage.left_out += 1
                return False
            if outage.left_out:
                record.repeated = outage.left_out
            outage.left_out = 0
        outage.places.add(place)
        outage.told_at = now
        return True


def _server_of(record: logging.LogRecord) -> str | None:
    """Whose outage a line is about; None for a line about something else."""
    if record.name.startswith(_TRACES):
        return record.name
    if record.levelno >= logging.ERROR:
        return None
    arguments = record.args if isinstance(record.args, tuple) else ()
    error = next((argument for argument in arguments if isinstance(argument, Unavailable)), None)
    return None if error is None else type(error).__name__
