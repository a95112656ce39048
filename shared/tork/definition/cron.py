"""Cron texts, by the grammar that the scheduler runs: five fields, names, `?`, `0/5`, descriptors, `@every`, a time zone.

What is accepted here always has a next time, so a schedule that was stored can be started. The fields leave here as
plain lists of numbers, which every cron library reads the same way.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from tork.definition.problems import shown
from tork.durations import parse_seconds
from tork.errors import DurationError, TorkError

_MAX_LENGTH = 256
_EXAMPLE = "right would be e.g. '0 9 * * MON-FRI', '@daily' or '@every 5m'"
_ZONE = re.compile(r"(?:CRON_TZ|TZ)=(\S*)\s+(.*)", re.DOTALL)
_RANGE = re.compile(r"(\*|\?|\w+)(?:-(\w+))?(?:/(\w+))?", re.ASCII)

_DESCRIPTORS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_MONTH_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAY_NAMES = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, 1)}
_DAYS = {name: number for number, name in enumerate(_DAY_NAMES)}


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    low: int
    high: int
    words: dict[str, int]


_FIELDS = (
    _Field("minute", 0, 59, {}),
    _Field("hour", 0, 23, {}),
    _Field("day of month", 1, 31, {}),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of week", 0, 6, _DAYS),
)


class CronError(TorkError, ValueError):
    """A text is not a cron expression, or names a time that never comes."""


@dataclass(frozen=True, slots=True)
class Cron:
    """A schedule that was read: `fields` as numbers and `*`, or `every_seconds`; `zone` is empty for the local one."""

    fields: str = ""
    every_seconds: float = 0
    zone: str = ""


@lru_cache(maxsize=1_000)
def parse_cron(text: str) -> Cron:
    """The schedule in the text. Raises `CronError` with what would be right."""
    if len(text) > _MAX_LENGTH:
        raise CronError(f"the cron text has more than {_MAX_LENGTH} characters ({_EXAMPLE})")
    rest, zone = text.strip(), ""
    if with_zone := _ZONE.fullmatch(rest):
        zone, rest = with_zone[1], with_zone[2].strip()
        _check_zone(zone)
    if rest.startswith("@every "):
        return Cron(every_seconds=_interval(rest.removeprefix("@every ").strip()), zone=zone)
    if rest.startswith("@"):
        if rest not in _DESCRIPTORS:
            known = ", ".join(_DESCRIPTORS)
            raise CronError(f"{shown(rest)} is not known (right would be one of {known}, or @every 5m)")
        rest = _DESCRIPTORS[rest]
    parts = rest.split()
    if len(parts) != len(_FIELDS):
        raise CronError(
            f"{shown(text)} has {len(parts)} fields, not the five of minute, hour, day of month, month and day of week"
            f" ({_EXAMPLE})"
        )
    fields = " ".join(_expanded(part, field) for part, field in zip(parts, _FIELDS, strict=True))
    _check_comes(fields, text)
    return Cron(fields=fields, zone=zone)


def _interval(text: str) -> float:
    try:
        seconds = parse_seconds(text)
    except DurationError:
        raise CronError(f"{shown(text)} is not a duration (right would be e.g. '@every 5m')") from None
    if seconds <= 0:
        raise CronError(f"'@every {text}' is not in the future (right would be more than 0s, e.g. '@every 5m')")
    return seconds


def _expanded(part: str, field: _Field) -> str:
    """The field as `*`, or as its values in order."""
    values: set[int] = set()
    for item in part.split(","):
        if item in {"*", "?", "*/1", "?/1"}:
            return "*"
        values |= _values(item, field)
    return ",".join(str(value) for value in sorted(values))


def _values(item: str, field: _Field) -> set[int]:
    found = _RANGE.fullmatch(item)
    if not found or (found[1] in {"*", "?"} and found[2]):
        raise CronError(f"{shown(item)} is not {_article(field)} ({_right(field)})")
    first, last, step = found.groups()
    if first in {"*", "?"}:
        low, high = field.low, field.high
    else:
        low = _value(first, field)
        high = _value(last, field) if last else (field.high if step else low)
    if low > high:
        raise CronError(f"the {field.name} range {shown(item)} ends before it starts ({_right(field)})")
    every = int(step) if step and step.isdecimal() else 0 if step else 1
    if every < 1:
        raise CronError(f"the step in {shown(item)} is not a number above 0 ({_right(field)})")
    return set(range(low, high + 1, every))


def _value(text: str, field: _Field) -> int:
    value = int(text) if text.isdecimal() else field.words.get(text.lower(), -1)
    if not field.low <= value <= field.high:
        raise CronError(f"{shown(text)} is not {_article(field)} ({_right(field)})")
    return value


def _article(field: _Field) -> str:
    return f"{'an' if field.name == 'hour' else 'a'} {field.name}"


def _right(field: _Field) -> str:
    names = list(field.words)
    words = f" or {names[0]} to {names[-1]}" if names else ""
    return f"right would be {field.low} to {field.high}{words}, *, a-b, a,b or a/b"


def _check_zone(zone: str) -> None:
    from zoneinfo import ZoneInfo  # slow to import, and few schedules name a zone

    try:
        ZoneInfo(zone)
    except (OSError, ValueError, KeyError):
        raise CronError(f"{shown(zone)} is not a time zone (right would be e.g. 'Europe/Berlin' or 'UTC')") from None


def _check_comes(fields: str, text: str) -> None:
    """Refuse the 30th of February and the like: such a schedule would wait for ever."""
    from croniter import CroniterBadDateError, croniter  # slow to import, and only schedules need it

    try:
        croniter(fields, datetime(2024, 1, 1, tzinfo=UTC)).get_next()
    except CroniterBadDateError:
        raise CronError(
            f"{shown(text)} names a day that never comes (right would be a day that the month has)"
        ) from None
