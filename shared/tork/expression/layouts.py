"""Reading and writing dates by an example: a layout shows how *Mon Jan 2 15:04:05 2006 -0700 MST* would look.

The rules are those of Go's time package (https://pkg.go.dev/time#Layout).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from tork.expression.civil import MONTHS, WEEKDAYS, days_of, month_days
from tork.expression.dates import UTC_ZONE, Date, Wall, Zone
from tork.expression.faults import Fault

DEFAULT_LAYOUTS = (
    "2006-01-02",
    "15:04:05",
    "2006-01-02 15:04:05",
    "2006-01-02T15:04:05Z07:00",
    "02 Jan 06 15:04 MST",
    "Monday, 02-Jan-06 15:04:05 MST",
    "Mon, 02 Jan 2006 15:04:05 MST",
)
RENDERED = "2006-01-02 15:04:05.999999999 -0700 MST"
JSON = "2006-01-02T15:04:05.999999999Z07:00"
_MAX_TEXT = 200

_PART = re.compile(
    r"January|Jan(?![a-z])|Monday|Mon(?![a-z])|MST|002|0[1-6]|15|2006|__2|_2(?!006)|PM|pm"
    r"|[-Z]07(?::00:00|:00|0000|00)?|[.,](?:0+|9+)(?![0-9])|[1-5]"
)


def write(date: Date, layout: str) -> str:
    """The date as the layout shows."""
    wall = date.wall()
    return _PART.sub(lambda part: _write_part(wall, part[0]), layout)


def _write_part(wall: Wall, part: str) -> str:
    hour = wall.hour % 12 or 12
    simple: dict[str, Callable[[], str]] = {
        "January": lambda: wall.month_name.name,
        "Jan": lambda: wall.month_name.name[:3],
        "Monday": lambda: wall.weekday.name,
        "Mon": lambda: wall.weekday.name[:3],
        "MST": lambda: wall.abbreviation or _offset(wall.offset, "-0700"),
        "2006": lambda: f"{wall.year:04}",
        "06": lambda: f"{wall.year % 100:02}",
        "01": lambda: f"{wall.month:02}",
        "1": lambda: str(wall.month),
        "02": lambda: f"{wall.day:02}",
        "_2": lambda: f"{wall.day:2}",
        "2": lambda: str(wall.day),
        "002": lambda: f"{wall.year_day:03}",
        "__2": lambda: f"{wall.year_day:3}",
        "15": lambda: f"{wall.hour:02}",
        "03": lambda: f"{hour:02}",
        "3": lambda: str(hour),
        "04": lambda: f"{wall.minute:02}",
        "4": lambda: str(wall.minute),
        "05": lambda: f"{wall.second:02}",
        "5": lambda: str(wall.second),
        "PM": lambda: "PM" if wall.hour >= 12 else "AM",
        "pm": lambda: "pm" if wall.hour >= 12 else "am",
    }
    if part in simple:
        return simple[part]()
    if part[0] in "-Z":
        return "Z" if part[0] == "Z" and not wall.offset else _offset(wall.offset, part)
    digits = f"{wall.nanosecond:09}"[: len(part) - 1].ljust(len(part) - 1, "0")
    if part[1] == "0":
        return part[0] + digits
    digits = digits.rstrip("0")
    return part[0] + digits if digits else ""


def _offset(offset: int, part: str) -> str:
    sign = "-" if offset < 0 else "+"
    size = abs(offset)
    fields = [f"{size // 3600:02}", f"{size // 60 % 60:02}", f"{size % 60:02}"]
    count = len(part.replace(":", "")) // 2
    return sign + (":" if ":" in part else "").join(fields[:count])


@dataclass
class _Reading:
    """What has been read so far, and what is left to read."""

    rest: str
    year: int = 0
    month: int = 1
    day: int = 1
    year_day: int | None = None
    hour: int = 0
    minute: int = 0
    second: int = 0
    nanosecond: int = 0
    afternoon: bool | None = None
    offset: int | None = None
    abbreviation: str | None = None


class _Mismatch(Exception):
    """The text is not as the layout shows."""


def read(text: str, layout: str, zone: Zone) -> Date | None:
    """The date a text shows, or None if it does not look like the layout; `zone` counts where the text has none."""
    if len(text) > _MAX_TEXT:
        return None
    reading = _Reading(text)
    try:
        end = 0
        parts = list(_PART.finditer(layout))
        for number, part in enumerate(parts):
            _skip(reading, layout[end : part.start()])
            fraction_follows = number + 1 < len(parts) and parts[number + 1][0][0] in ".,"
            _read_part(reading, part[0], fraction_follows=fraction_follows)
            end = part.end()
        _skip(reading, layout[end:])
        return None if reading.rest else _date(reading, zone)
    except _Mismatch:
        return None


def _skip(reading: _Reading, literal: str) -> None:
    while literal:
        if literal[0] == " ":
            if reading.rest and reading.rest[0] != " ":
                raise _Mismatch
            literal, reading.rest = literal.lstrip(" "), reading.rest.lstrip(" ")
            continue
        if not reading.rest.startswith(literal[0]):
            raise _Mismatch
        literal, reading.rest = literal[1:], reading.rest[1:]


def _digits(reading: _Reading, pattern: str) -> int:
    match = re.match(pattern, reading.rest, re.ASCII)
    if match is None:
        raise _Mismatch
    reading.rest = reading.rest[match.end() :]
    return int(match[0])


def _name(reading: _Reading, names: tuple[str, ...], length: int | None) -> int:
    for number, name in enumerate(names):
        if reading.rest.lower().startswith(name[:length].lower()):
            reading.rest = reading.rest[len(name[:length]) :]
            return number
    raise _Mismatch


def _read_part(reading: _Reading, part: str, *, fraction_follows: bool) -> None:
    one_or_two = r"\d{1,2}"
    match part:
        case "January" | "Jan":
            reading.month = _name(reading, MONTHS, 3 if part == "Jan" else None) + 1
        case "Monday" | "Mon":
            _name(reading, WEEKDAYS, 3 if part == "Mon" else None)
        case "2006":
            reading.year = _digits(reading, r"\d{4}")
        case "06":
            year = _digits(reading, r"\d{2}")
            reading.year = year + (1900 if year >= 69 else 2000)
        case "01" | "1":
            reading.month = _digits(reading, r"\d{2}" if part == "01" else one_or_two)
        case "02" | "2" | "_2":
            reading.rest = reading.rest.removeprefix(" ") if part == "_2" else reading.rest
            reading.day = _digits(reading, r"\d{2}" if part == "02" else one_or_two)
        case "002" | "__2":
            reading.rest = reading.rest.lstrip(" ") if part == "__2" else reading.rest
            reading.year_day = _digits(reading, r"\d{3}" if part == "002" else r"\d{1,3}")
        case _:
            _read_time(reading, part, fraction_follows=fraction_follows)


def _read_time(reading: _Reading, part: str, *, fraction_follows: bool) -> None:
    pattern = r"\d{2}" if part[0] == "0" else r"\d{1,2}"
    match part:
        case "15" | "03" | "3":
            reading.hour = _digits(reading, pattern)
            if part != "15" and reading.hour > 12:
                raise _Mismatch
        case "04" | "4":
            reading.minute = _digits(reading, pattern)
        case "05" | "5":
            reading.second = _digits(reading, pattern)
            if not fraction_follows and re.match(r"[.,]\d", reading.rest, re.ASCII):
                _read_fraction(reading, r"[.,]\d+")
        case "PM" | "pm":
            reading.afternoon = _name(reading, ("am", "pm"), None) == 1
        case "MST":
            _read_abbreviation(reading)
        case _ if part[0] in ".,":
            if part[1] == "0":
                _read_fraction(reading, rf"[.,]\d{{{len(part) - 1}}}")
            elif re.match(r"[.,]\d", reading.rest, re.ASCII):
                _read_fraction(reading, r"[.,]\d{1,9}")
        case _:
            _read_offset(reading, part)


def _read_fraction(reading: _Reading, pattern: str) -> None:
    match = re.match(pattern, reading.rest, re.ASCII)
    if match is None:
        raise _Mismatch
    reading.rest = reading.rest[match.end() :]
    reading.nanosecond = int(match[0][1:10].ljust(9, "0"))


def _read_offset(reading: _Reading, part: str) -> None:
    if part[0] == "Z" and reading.rest.startswith("Z"):
        reading.rest, reading.offset, reading.abbreviation = reading.rest[1:], 0, "UTC"
        return
    fields = len(part.replace(":", "")) // 2
    separator = ":" if ":" in part else ""
    match = re.match(r"([+-])" + separator.join([r"(\d\d)"] * fields), reading.rest, re.ASCII)
    if match is None or any(int(field) > limit for field, limit in zip(match.groups()[1:], (24, 59, 59), strict=False)):
        raise _Mismatch
    size = sum(int(field) * unit for field, unit in zip(match.groups()[1:], (3600, 60, 1), strict=False))
    reading.rest, reading.offset = reading.rest[match.end() :], -size if match[1] == "-" else size


def _read_abbreviation(reading: _Reading) -> None:
    match = re.match(r"UTC|GMT(?:[+-]\d{1,2})?|[A-Z]{3,4}(?![A-Z])|[+-]\d\d(?:\d\d)?", reading.rest, re.ASCII)
    if match is None:
        raise _Mismatch
    reading.rest, reading.abbreviation = reading.rest[match.end() :], match[0]


def _date(reading: _Reading, zone: Zone) -> Date:
    hour = reading.hour
    if reading.afternoon is not None and hour <= 12:
        hour = hour % 12 + (12 if reading.afternoon else 0)
    if not 1 <= reading.month <= 12 or not 1 <= reading.day <= month_days(reading.year, reading.month):
        raise _Mismatch
    if hour > 23 or reading.minute > 59 or reading.second > 59:
        raise _Mismatch
    days = days_of(reading.year, reading.month, reading.day)
    if reading.year_day is not None:
        days = days_of(reading.year, 1, reading.year_day)
    second_of_day = hour * 3600 + reading.minute * 60 + reading.second
    try:
        return Date.from_wall(days, second_of_day, reading.nanosecond, _zone(reading, days, zone))
    except Fault as fault:
        raise _Mismatch from fault


def _zone(reading: _Reading, days: int, zone: Zone) -> Zone:
    """The zone the text names. An abbreviation counts with the offset it has in the given zone, else as UTC's."""
    if reading.offset is not None:
        return UTC_ZONE if reading.abbreviation == "UTC" else Zone(reading.abbreviation or "", reading.offset)
    if reading.abbreviation is None:
        return zone
    if reading.abbreviation == "UTC":
        return UTC_ZONE
    if zone.at(days * 86_400 + reading.hour * 3600)[1] == reading.abbreviation:
        return zone
    match = re.fullmatch(r"GMT([+-]\d{1,2})", reading.abbreviation)
    return Zone(reading.abbreviation, int(match[1]) * 3600 if match else 0)
