"""When schedules fire: the same as an oracle that looks at every minute, in zones whose clocks are set in every way there is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tork.definition import Cron, CronError, parse_cron
from tork.fire_times import FireTimes

MINUTE = timedelta(minutes=1)
CREATED = datetime(2026, 1, 1, tzinfo=UTC)
ZONES = {
    "Europe/Berlin": [(2026, 3, 29), (2026, 10, 25), (2026, 6, 15)],
    "America/New_York": [(2026, 3, 8), (2026, 11, 1)],
    "Australia/Lord_Howe": [(2026, 4, 4), (2026, 10, 3)],
    "Asia/Kathmandu": [(2026, 2, 28)],
    "Africa/Casablanca": [(2026, 2, 15), (2026, 3, 22)],
    "Pacific/Apia": [(2011, 12, 29)],
    "UTC": [(2027, 12, 31)],
}
"""Days, by UTC, about which the clocks are set there, and some on which they are not."""
WINDOW = timedelta(hours=30)


def oracle(cron: Cron, zone: ZoneInfo, begin: datetime, end: datetime) -> list[datetime]:
    """Every fire time after `begin` until `end`, found by looking at each minute of real time, and of those the clock jumped over."""
    minutes, hours, days, months, weekdays = cron.fields.split()
    of_every_hour = hours == "*" or len(hours.split(",")) == 24

    def matches(wall: datetime) -> bool:
        day = _has(days, wall.day), _has(weekdays, wall.isoweekday() % 7)
        is_day = all(day) if "*" in {days, weekdays} else any(day)
        return is_day and _has(months, wall.month) and _has(hours, wall.hour) and _has(minutes, wall.minute)

    found: list[datetime] = []
    shown: set[datetime] = set()
    moment = begin.replace(second=0, microsecond=0) - timedelta(days=1)
    before = _wall(moment - MINUTE, zone)
    while moment <= end:
        wall = _wall(moment, zone)
        skipped = () if of_every_hour else _walls(before + MINUTE, wall)
        is_due = matches(wall) and (of_every_hour or wall not in shown)
        if moment > begin and (is_due or any(matches(jumped) for jumped in skipped)):
            found.append(moment)
        shown.add(wall)
        before, moment = wall, moment + MINUTE
    return found


def _has(field: str, value: int) -> bool:
    return field == "*" or str(value) in field.split(",")


def _wall(moment: datetime, zone: ZoneInfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


def _walls(first: datetime, end: datetime) -> Iterator[datetime]:
    while first < end:
        yield first
        first += MINUTE


def steps(most: int) -> st.SearchStrategy[str]:
    """A field of minutes or hours."""
    number = st.integers(0, most)
    return st.one_of(
        st.just("*"),
        number.map(str),
        st.lists(number, min_size=1, max_size=4).map(lambda values: ",".join(map(str, values))),
        st.tuples(number, st.integers(1, most)).map(lambda pair: f"{pair[0]}/{pair[1]}"),
        st.integers(1, most).map(lambda step: f"*/{step}"),
    )


cron_texts = st.tuples(
    steps(59),
    st.one_of(steps(23), st.sampled_from(["1", "2", "3", "1,2", "2-3", "0-23"])),
    st.sampled_from(["*", "*", "29", "1-31", "25/2", "?"]),
    st.sampled_from(["*", "*", "MAR,OCT", "2-4"]),
    st.sampled_from(["*", "*", "SUN", "1-5", "?"]),
).map(" ".join)
places = st.sampled_from([(zone, day) for zone, days in ZONES.items() for day in days])


@given(text=cron_texts, place=places, minutes=st.integers(0, 1500), seconds=st.integers(0, 59))
@example(text="30 2 * * *", place=("Europe/Berlin", (2026, 3, 29)), minutes=0, seconds=0)
@example(text="*/30 * * * *", place=("Europe/Berlin", (2026, 10, 25)), minutes=10, seconds=0)
@example(text="30 2 * * *", place=("Europe/Berlin", (2026, 10, 25)), minutes=670, seconds=0)
@example(text="45 1 * * *", place=("Australia/Lord_Howe", (2026, 4, 4)), minutes=900, seconds=1)
@example(text="0 12 30 * *", place=("Pacific/Apia", (2011, 12, 29)), minutes=0, seconds=0)
def test_fire_times_are_those_of_an_oracle_that_looks_at_every_minute(
    text: str, place: tuple[str, tuple[int, int, int]], minutes: int, seconds: int
) -> None:
    zone, day = place
    begin = datetime(*day, tzinfo=UTC) + timedelta(minutes=minutes - 600, seconds=seconds)
    end = begin + WINDOW
    times = FireTimes.of_text(text, zone=zone, created_at=CREATED)
    expected = oracle(parse_cron(text), ZoneInfo(zone), begin, end)
    found: list[datetime] = []
    moment = times.after(begin)
    while moment is not None and moment <= end and len(found) < 80:
        found.append(moment)
        moment = times.after(moment)
    assert found == expected[:80]
    assert times.latest(since=begin, until=end) == (expected[-1] if expected else None)


def told(text: str, zone: str, begin: str, count: int) -> list[str]:
    """The coming times after a moment by UTC, as the clock there shows them."""
    times = FireTimes.of_text(text, zone=zone, created_at=CREATED)
    coming = times.coming(datetime.fromisoformat(begin).replace(tzinfo=UTC), count)
    return [moment.astimezone(ZoneInfo(zone)).isoformat("T", "minutes") for moment in coming]


# fmt: off
FIRES = {
    "jumped over":
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00", ["2026-03-29T03:00+02:00", "2026-03-30T02:30+02:00"]),
    "several jumped over are one":
        ("*/15 2 * * *", "Europe/Berlin", "2026-03-28T12:00", ["2026-03-29T03:00+02:00", "2026-03-30T02:00+02:00"]),
    "half an hour jumped over":
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00", ["2026-10-04T02:30+11:00", "2026-10-05T02:15+11:00"]),
    "shown twice":
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00", ["2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"]),
    "every hour, when one is left out":
        ("30 * * * *", "Europe/Berlin", "2026-03-29T00:00", ["2026-03-29T01:30+01:00", "2026-03-29T03:30+02:00"]),
    "every hour, when one comes twice":
        ("30 * * * *", "Europe/Berlin", "2026-10-24T23:40",
         ["2026-10-25T02:30+02:00", "2026-10-25T02:30+01:00", "2026-10-25T03:30+01:00"]),
    "leap years":
        ("0 0 29 2 *", "Asia/Kathmandu", "2026-01-01T00:00", ["2028-02-29T00:00+05:45", "2032-02-29T00:00+05:45"]),
    "a day of the month or of the week":
        ("0 12 13 * FRI", "UTC", "2026-01-10T00:00", ["2026-01-13T12:00+00:00", "2026-01-16T12:00+00:00"]),
    "a descriptor":
        ("@hourly", "UTC", "2026-01-10T04:00", ["2026-01-10T05:00+00:00"]),
}
# fmt: on


@pytest.mark.parametrize(("text", "zone", "begin", "expected"), FIRES.values(), ids=FIRES)
def test_it_fires(text: str, zone: str, begin: str, expected: list[str]) -> None:
    assert told(text, zone, begin, len(expected)) == expected


@pytest.mark.parametrize("prefix", ["TZ", "CRON_TZ"])
def test_a_zone_in_the_text_wins_over_the_default_one(prefix: str) -> None:
    times = FireTimes.of_text(f"{prefix}=Asia/Tokyo 0 6 * * *", zone="Europe/Berlin", created_at=CREATED)
    assert times.after(CREATED) == datetime(2026, 1, 1, 21, tzinfo=UTC)


def test_an_interval_counts_from_the_creation_in_whole_seconds() -> None:
    created = CREATED + timedelta(seconds=3, milliseconds=700)
    times = FireTimes.of_text("@every 90s", zone="UTC", created_at=created)
    assert times.coming(created, 2) == [CREATED + timedelta(seconds=93), CREATED + timedelta(seconds=183)]
    assert times.after(CREATED - timedelta(days=1)) == CREATED + timedelta(seconds=93)
    late = CREATED + timedelta(days=365)
    assert times.latest(since=created, until=late) == CREATED + timedelta(seconds=3) + 350_399 * timedelta(seconds=90)


@pytest.mark.parametrize(("text", "seconds"), [("@every 1ms", 1), ("@every 1.9s", 1), ("@every 2s", 2)])
def test_no_interval_is_shorter_than_a_second(text: str, seconds: int) -> None:
    times = FireTimes.of_text(text, zone="UTC", created_at=CREATED)
    assert times.after(CREATED) == CREATED + timedelta(seconds=seconds)


def test_a_time_after_the_end_of_the_calendar_is_none() -> None:
    times = FireTimes.of_text("@every 2500000h", zone="UTC", created_at=CREATED)
    assert 20 < len(times.coming(CREATED, 100)) < 30


def test_a_zone_that_is_not_there_is_said_to_be_unknown() -> None:
    with pytest.raises(CronError, match="the time zone 'Mars/Base' is not known on this machine"):
        FireTimes(Cron(fields="0 0 * * *"), zone="Mars/Base", created_at=CREATED)


def test_an_interval_needs_no_zone() -> None:
    FireTimes(Cron(every_seconds=60), zone="Mars/Base", created_at=CREATED)


def test_it_does_not_matter_in_which_zone_this_process_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "Australia/Lord_Howe")
    time.tzset()
    try:
        assert told("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00", 1) == ["2026-03-29T03:00+02:00"]
    finally:
        monkeypatch.undo()
        time.tzset()
