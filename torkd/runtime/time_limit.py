"""The time limits that tasks and their steps carry as text."""

from __future__ import annotations

from tork.durations import parse_nanoseconds
from tork.errors import DurationError, RuntimeFailure


def timeout_seconds(timeout: str) -> float | None:
    """The time limit in seconds, None for none. Raises `RuntimeFailure`."""
    if not timeout:
        return None
    try:
        nanoseconds = parse_nanoseconds(timeout)
    except DurationError:
        nanoseconds = 0
    if nanoseconds <= 0:
        raise RuntimeFailure(f"invalid timeout duration: {timeout[:100]}")
    return nanoseconds / 1e9
