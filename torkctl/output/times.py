"""Times and durations as people read them in a column."""

from __future__ import annotations

from datetime import datetime

NOTHING = "-"


def moment(at: datetime | None) -> str:
    """A moment in the reader's own zone."""
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S") if at else NOTHING


def timestamp(at: datetime | None) -> str:
    """A moment for a log line: sortable, with its zone, the same width each time."""
    from datetime import UTC

    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z" if at else NOTHING


def span(start: datetime | None, end: datetime | None) -> str:
    """How long it took: `0.3s`, `12.0s`, `3m05s`, `2h07m`, `3d04h`."""
    if start is None or end is None:
        return NOTHING
    return seconds_text(max(0.0, (end - start).total_seconds()))


def age(at: datetime | None, now: datetime) -> str:
    """How long ago it was, in one unit: `40s`, `3m`, `2h`, `5d`."""
    if at is None:
        return NOTHING
    seconds = max(0, int((now - at).total_seconds()))
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def short_seconds(seconds: float) -> str:
    """A wait that somebody wrote down, such as `200ms` or `1.5s`."""
    return f"{seconds * 1000:g}ms" if seconds < 1 else f"{seconds:g}s" if seconds < 60 else seconds_text(seconds)


def seconds_text(seconds: float) -> str:
    """Seconds in few characters."""
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, second = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{second:02}s"
    hours, minute = divmod(minutes, 60)
    if hours < 24:
        return f"{hours}h{minute:02}m"
    days, hour = divmod(hours, 24)
    return f"{days}d{hour:02}h"
