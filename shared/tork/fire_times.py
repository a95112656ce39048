"""When a schedule fires. croniter walks the clock on the wall; where its times lie on the line of real time is decided here.

Invariants, in every zone: fire times are whole seconds and grow. A schedule of certain hours fires once for each of its times:
for one that the clock jumps over at the moment after the jump, for one that comes twice the first time. A schedule of every hour
keeps to real time: what the clock jumps over is not there, what comes twice fires twice. An interval counts from its creation.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo

from tork.definition.cron import Cron, CronError, parse_cron

_TICK = timedelta(microseconds=1)
_ALL_HOURS = ",".join(str(hour) for hour in range(24))


class FireTimes:
    """The fire times of one schedule."""

    def __init__(self, cron: Cron, *, zone: str = "UTC", created_at: datetime) -> None:
        """`zone` counts where the cron text names none. Raises `CronError` for a zone that this machine does not know."""
        self._fields = cron.fields
        self._every = timedelta(seconds=max(int(cron.every_seconds), 1))
        self._created_at = created_at.astimezone(UTC).replace(microsecond=0)
        self.zone = (cron.zone or zone) if cron.fields else ""
        """The time zone that counts; an interval has none."""
        self._zone = load_zone(self.zone) if cron.fields else UTC
        self._is_of_every_hour = bool(cron.fields) and cron.fields.split()[1] in {"*", _ALL_HOURS}

    @classmethod
    def of_text(cls, text: str, *, zone: str, created_at: datetime) -> FireTimes:
        """Those of a cron text. Raises `CronError`."""
        return cls(parse_cron(text), zone=zone, created_at=created_at)

    def after(self, moment: datetime) -> datetime | None:
        """The first one later than that; None when there is none before the year 10,000."""
        moment = moment.astimezone(UTC)
        try:
            return self._of_wall(moment) if self._fields else self._of_interval(moment)
        except OverflowError:
            return None

    def coming(self, moment: datetime, count: int) -> list[datetime]:
        """The next ones, so many at most."""
        found: list[datetime] = []
        while len(found) < count and (following := self.after(found[-1] if found else moment)) is not None:
            found.append(following)
        return found

    def latest(self, *, since: datetime, until: datetime) -> datetime | None:
        """The last one later than `since` and not later than `until`, however many there are between."""
        low, high = int(since.timestamp()), int(until.timestamp()) + 1
        best = self._between(since, until)
        if best is None:
            return None
        while high - low > 1:
            middle = (low + high) // 2
            found = self._between(max(datetime.fromtimestamp(middle, UTC), since), until)
            low, high, best = (low, middle, best) if found is None else (middle, high, found)
        return best

    def _between(self, since: datetime, until: datetime) -> datetime | None:
        found = self.after(since)
        return found if found is not None and found <= until else None

    def _of_interval(self, moment: datetime) -> datetime:
        return self._created_at + max((moment - self._created_at) // self._every + 1, 1) * self._every

    def _of_wall(self, moment: datetime) -> datetime | None:
        local = moment.astimezone(self._zone)
        wall = local.replace(tzinfo=None, fold=0)
        found = self._first(moment, wall)
        if self._is_of_every_hour and not local.fold:
            first, second = self._at(wall, 0), self._at(wall, 1)
            if first < second:  # the clock will show this time once more, and what it has shown before
                back = self._jump(first, second)
                again = self._first(back - _TICK, back.astimezone(self._zone).replace(tzinfo=None, fold=0) - _TICK)
                return min(filter(None, (found, again)), default=None)
        return found

    def _first(self, moment: datetime, wall: datetime) -> datetime | None:
        """The first one later than `moment`, of those that the clock shows later than `wall`."""
        for shown in _walk(self._fields, wall):
            for instant in self._instants(shown):
                if instant > moment:
                    return instant
        return None

    def _instants(self, wall: datetime) -> tuple[datetime, ...]:
        """When a time that the clock should show counts."""
        first, second = self._at(wall, 0), self._at(wall, 1)
        if first == second:
            return (first,)
        if first < second:
            return (first, second) if self._is_of_every_hour else (first,)
        return () if self._is_of_every_hour else (self._jump(second, first),)

    def _at(self, wall: datetime, fold: int) -> datetime:
        return wall.replace(tzinfo=self._zone, fold=fold).astimezone(UTC)

    def _jump(self, before: datetime, after: datetime) -> datetime:
        """When the clock is set between these two."""
        low, high = int(before.timestamp()), int(after.timestamp())
        offset = after.astimezone(self._zone).utcoffset()
        while high - low > 1:
            middle = (low + high) // 2
            if datetime.fromtimestamp(middle, self._zone).utcoffset() == offset:
                high = middle
            else:
                low = middle
        return datetime.fromtimestamp(high, UTC)


def load_zone(name: str) -> tzinfo:
    """The time zone of that name. Raises `CronError`."""
    from zoneinfo import ZoneInfo  # slow to import

    if name == "UTC":
        return UTC  # known also where no zone is installed
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        raise CronError(
            f"the time zone '{name}' is not known on this machine (right would be to install tzdata)"
        ) from None


def _walk(fields: str, wall: datetime) -> Iterator[datetime]:
    """The times on the wall after that one. croniter gets them as if they were UTC, where no clock is ever set."""
    from croniter import CroniterBadDateError, croniter  # slow to import, and only schedules need it

    times = croniter(fields, wall.replace(tzinfo=UTC), ret_type=datetime)
    while True:
        try:
            shown: datetime = times.get_next()
        except CroniterBadDateError:
            return
        yield shown.replace(tzinfo=None)
