"""An outage told once a minute instead of by every thread at every try.

While a server is away whoever needs it says so again and again. Of what one place says about that, the first line is let through
and then one a minute, with the number of those that were left out. Everything else is let through.
"""

from __future__ import annotations

import logging
import threading

from tork.errors import Unavailable

EVERY_SECONDS = 60.0
_POOL = "psycopg.pool"
# tells of every connection that can't be made; those who wanted one tell of it, too
_TRACES = "opentelemetry."
# tells of every attempt to reach a collector, and of every span that is dropped meanwhile; it says how bad that is as it likes


class Repeats(logging.Filter):
    """A filter for a handler. `repeated` is a field of the lines that stand for others."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._told: dict[tuple[str, object, str], tuple[float, int]] = {}
        """When a line of that kind was last let through, and how many were left out since then."""

    def filter(self, record: logging.LogRecord) -> bool:
        kind = _outage_of(record)
        if kind is None:
            return True
        with self._lock:
            told_at, left_out = self._told.get(kind, (float("-inf"), 0))
            if record.created - told_at < EVERY_SECONDS:
                self._told[kind] = told_at, left_out + 1
                return False
            self._told[kind] = record.created, 0
        if left_out:
            record.repeated = left_out
        return True


def _outage_of(record: logging.LogRecord) -> tuple[str, object, str] | None:
    """What tells lines about one outage from one place from all others; None for a line about something else."""
    if record.name.startswith(_TRACES):
        return record.name, "", ""
    if record.levelno >= logging.ERROR:
        return None
    if record.name == _POOL:
        return record.name, record.msg, ""
    arguments = record.args if isinstance(record.args, tuple) else ()
    error = next((argument for argument in arguments if isinstance(argument, Unavailable)), None)
    return None if error is None else (record.name, record.msg, type(error).__name__)
