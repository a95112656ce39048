"""Durations as job files and settings write them: `300ms`, `1h30m`, `1.5h`.

The grammar is Go's `time.ParseDuration` (https://pkg.go.dev/time#ParseDuration): an optional sign, then one or more
decimal numbers with a unit each. Negative durations are read here; who takes one decides whether it may be negative.
"""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal

from tork.errors import DurationError

_NANOSECONDS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,  # U+00B5, the micro sign
    "μs": 1_000,  # U+03BC, the Greek letter
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_MAX_NANOSECONDS = 2**63 - 1
_MAX_LENGTH = 100


def parse_nanoseconds(text: str) -> int:
    """The duration in whole nanoseconds. Raises `DurationError` with what would be right."""
    sign = -1 if text.startswith("-") else 1
    body = text[1:] if text[:1] in {"-", "+"} else text
    if body == "0":
        return 0
    total = Decimal(0)
    end = 0
    while end < len(body) <= _MAX_LENGTH and (part := _PART.match(body, end)):
        total += Decimal(part[1]) * _NANOSECONDS[part[2]]
        end = part.end()
    if not body or end != len(body) or total > _MAX_NANOSECONDS:
        shown = text if len(text) <= _MAX_LENGTH else text[:_MAX_LENGTH] + "…"
        raise DurationError(f"'{shown}' is not a duration (right would be e.g. '30s', '5m' or '1h30m')")
    return sign * int(total)


def parse_duration(text: str) -> timedelta:
    """The duration, to the microsecond. Raises `DurationError`."""
    return timedelta(microseconds=parse_nanoseconds(text) / 1000)


def parse_seconds(text: str) -> float:
    """The duration in seconds. Raises `DurationError`."""
    return parse_nanoseconds(text) / 1e9


def format_nanoseconds(nanoseconds: int) -> str:
    """The shortest text that reads back the same, as Go prints it: `1h30m0s`, `1.5s`, `250ms`, `0s`."""
    if nanoseconds == 0:
        return "0s"
    sign = "-" if nanoseconds < 0 else ""
    rest = abs(nanoseconds)
    for unit in ("ns", "µs", "ms"):
        if rest < _NANOSECONDS[unit] * 1000:
            return f"{sign}{_decimal(rest, _NANOSECONDS[unit])}{unit}"
    minutes, below_minute = divmod(rest, _NANOSECONDS["m"])
    hours, minutes = divmod(minutes, 60)
    text = f"{_decimal(below_minute, _NANOSECONDS['s'])}s"
    if hours or minutes:
        text = f"{minutes}m{text}"
    if hours:
        text = f"{hours}h{text}"
    return sign + text


def _decimal(value: int, unit: int) -> str:
    whole, fraction = divmod(value, unit)
    if not fraction:
        return str(whole)
    digits = str(fraction).rjust(len(str(unit)) - 1, "0").rstrip("0")
    return f"{whole}.{digits}"
