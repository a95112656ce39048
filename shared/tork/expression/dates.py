"""Dates, durations and zones as values of the language: exact to the nanosecond, never changed.

A duration keeps to 64 bits of nanoseconds and a date to the years 0 to 9999; beyond is a `Fault`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import total_ordering
from zoneinfo import ZoneInfo

from tork.durations import format_nanoseconds
from tork.expression.civil import MONTHS, WEEKDAYS, date_of, days_of
from tork.expression.faults import Fault

SECOND = 1_000_000_000
_DAY = 86_400
_MAX_DURATION = 2**63 - 1
_FIRST = days_of(0, 1, 1) * _DAY * SECOND
_LAST = (days_of(10_000, 1, 1) * _DAY + _DAY) * SECOND


@dataclass(frozen=True, slots=True, order=True)
class Duration:
    """A length of time in nanoseconds."""

    nanoseconds: int

    def __post_init__(self) -> None:
        if abs(self.nanoseconds) > _MAX_DURATION:
            raise Fault("the duration is longer than 292 years")

    def __str__(self) -> str:
        return format_nanoseconds(self.nanoseconds)

    def plus(self, other: Duration) -> Duration:
        """The sum of both."""
        return Duration(self.nanoseconds + other.nanoseconds)

    def times(self, factor: int) -> Duration:
        """The duration `factor` times."""
        return Duration(self.nanoseconds * factor)


@dataclass(frozen=True, slots=True)
class Named:
    """A month or a weekday: shows its name, and `int()` gives its number."""

    name: str
    number: int

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Zone:
    """A place's rules (`rules`), or a fixed offset in seconds; `name` is what `MST` in a layout shows."""

    name: str
    offset: int = 0
    rules: tzinfo | None = None

    def __str__(self) -> str:
        return self.name

    def at(self, seconds: int) -> tuple[int, str]:
        """Offset in seconds and abbreviation at an instant, given in seconds since 1970."""
        if self.rules is None:
            return self.offset, self.name
        inside = min(max(seconds, -62_135_000_000), 253_402_000_000)
        moment = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=inside)).astimezone(self.rules)
        return int((moment.utcoffset() or timedelta()).total_seconds()), moment.tzname() or ""

    def instant(self, wall_seconds: int) -> int:
        """Seconds since 1970 of a wall-clock reading; of two readings the earlier instant."""
        offset, _ = self.at(wall_seconds - self.at(wall_seconds)[0])
        guess = wall_seconds - offset
        earlier = wall_seconds - self.at(guess - _DAY)[0]
        return earlier if earlier + self.at(earlier)[0] == wall_seconds else guess


UTC_ZONE = Zone("UTC")


def zone_named(name: str) -> Zone:
    """The zone of that IANA name. Raises `Fault`."""
    if name in {"", "UTC", "Local"}:
        return UTC_ZONE
    try:
        return Zone(name, rules=ZoneInfo(name))
    except (ValueError, LookupError, OSError) as error:
        raise Fault("there is no such time zone (right would be e.g. Europe/Zurich)") from error


@total_ordering
@dataclass(frozen=True, slots=True, eq=False)
class Date:
    """An instant, seen in a zone. Equality and order look at the instant only."""

    nanoseconds: int
    zone: Zone = UTC_ZONE

    def __post_init__(self) -> None:
        if not _FIRST - _DAY * SECOND <= self.nanoseconds < _LAST:
            raise Fault("the date is outside the years 0 to 9999")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Date) and self.nanoseconds == other.nanoseconds

    def __lt__(self, other: Date) -> bool:
        return self.nanoseconds < other.nanoseconds

    def __hash__(self) -> int:
        return hash(self.nanoseconds)

    @classmethod
    def from_datetime(cls, moment: datetime) -> Date:
        """The date of a datetime; one without zone is taken as UTC."""
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        since = aware - datetime(1970, 1, 1, tzinfo=UTC)
        offset = int((aware.utcoffset() or timedelta()).total_seconds())
        zone = Zone("", offset) if offset else UTC_ZONE
        return cls(((since.days * _DAY + since.seconds) * 1_000_000 + since.microseconds) * 1000, zone)

    @classmethod
    def from_wall(cls, days: int, second_of_day: int, nanosecond: int, zone: Zone) -> Date:
        """The date at which clocks of the zone show this."""
        if not -1_000_000 <= days <= 4_000_000:
            raise Fault("the date is outside the years 0 to 9999")
        return cls(zone.instant(days * _DAY + second_of_day) * SECOND + nanosecond, zone)

    def wall(self) -> Wall:
        """What calendar and clock of the zone show."""
        seconds, nanosecond = divmod(self.nanoseconds, SECOND)
        offset, abbreviation = self.zone.at(seconds)
        days, second_of_day = divmod(seconds + offset, _DAY)
        year, month, day = date_of(days)
        return Wall(year, month, day, days, second_of_day, nanosecond, offset, abbreviation)

    def plus(self, length: Duration) -> Date:
        """The date that much later."""
        return Date(self.nanoseconds + length.nanoseconds, self.zone)

    def since(self, other: Date) -> Duration:
        """The time from the other date to this one."""
        return Duration(self.nanoseconds - other.nanoseconds)

    def shifted(self, years: int, months: int, days: int) -> Date:
        """The same time of day, years, months and days later; what is beyond a month's end carries over."""
        if max(abs(years), abs(months), abs(days)) > 10_000_000:
            raise Fault("the date is outside the years 0 to 9999")
        wall = self.wall()
        target = days_of(wall.year + years, wall.month + months, wall.day) + days
        return Date.from_wall(target, wall.second_of_day, wall.nanosecond, self.zone)


@dataclass(frozen=True, slots=True)
class Wall:
    """A date as calendar and clock show it."""

    year: int
    month: int
    day: int
    days: int
    # since 1970-01-01
    second_of_day: int
    nanosecond: int
    offset: int
    # seconds east of Greenwich
    abbreviation: str

    @property
    def hour(self) -> int:
        """0 to 23"""
        return self.second_of_day // 3600

    @property
    def minute(self) -> int:
        """0 to 59"""
        return self.second_of_day // 60 % 60

    @property
    def second(self) -> int:
        """0 to 59"""
        return self.second_of_day % 60

    @property
    def year_day(self) -> int:
        """1 to 366"""
        return self.days - days_of(self.year, 1, 1) + 1

    @property
    def weekday(self) -> Named:
        """Sunday is 0."""
        number = (self.days + 4) % 7
        return Named(WEEKDAYS[number], number)

    @property
    def month_name(self) -> Named:
        """January is 1."""
        return Named(MONTHS[self.month - 1], self.month)
