"""Which ticks fire after a while in which nobody looked, by policy."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tork.fire_times import FireTimes
from tork.job import CatchUp, Overlap
from torkd.engine.ticks import LATE, MOST_MADE_UP_FOR, Ticks, ticks_due

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
HOURLY = FireTimes.of_text("@hourly", zone="UTC", created_at=NOON)
EVERY_SECOND = FireTimes.of_text("@every 1s", zone="UTC", created_at=NOON)
MOMENT = timedelta(seconds=1)


def hours(*numbers: int) -> list[datetime]:
    """Hours of that day."""
    return [NOON.replace(hour=number) for number in numbers]


def test_nothing_fires_before_its_time() -> None:
    assert ticks_due(HOURLY, due=NOON, now=NOON - MOMENT) == Ticks([], NOON)


@pytest.mark.parametrize("catchup", CatchUp)
def test_a_tick_fires_at_its_time_whatever_the_policy_is(catchup: CatchUp) -> None:
    assert ticks_due(HOURLY, due=NOON, now=NOON, catchup=catchup) == Ticks([NOON], *hours(13))


@pytest.mark.parametrize("catchup", CatchUp)
def test_a_tick_that_is_seen_a_little_late_is_not_missed(catchup: CatchUp) -> None:
    assert ticks_due(HOURLY, due=NOON, now=NOON + LATE, catchup=catchup).fire == [NOON]


@pytest.mark.parametrize(
    ("catchup", "fire"), [(CatchUp.NONE, []), (CatchUp.ONE, hours(15)), (CatchUp.ALL, hours(12, 13, 14, 15))]
)
def test_after_an_outage_the_policy_says_which_fire(catchup: CatchUp, fire: list[datetime]) -> None:
    now = NOON + timedelta(hours=3, minutes=30)
    assert ticks_due(HOURLY, due=NOON, now=now, catchup=catchup) == Ticks(fire, *hours(16))


@pytest.mark.parametrize(
    ("catchup", "fire"), [(CatchUp.NONE, hours(15)), (CatchUp.ONE, hours(15)), (CatchUp.ALL, hours(12, 13, 14, 15))]
)
def test_an_outage_that_ends_at_a_tick_leaves_that_one(catchup: CatchUp, fire: list[datetime]) -> None:
    assert ticks_due(HOURLY, due=NOON, now=NOON + timedelta(hours=3), catchup=catchup).fire == fire


def test_all_that_were_missed_come_some_at_a_time() -> None:
    now = NOON + timedelta(hours=3, minutes=30)
    first = ticks_due(HOURLY, due=NOON, now=now, catchup=CatchUp.ALL, most=3)
    assert first == Ticks(hours(12, 13, 14), *hours(15))
    assert ticks_due(HOURLY, due=NOON.replace(hour=15), now=now, catchup=CatchUp.ALL, most=3) == Ticks(
        hours(15), *hours(16)
    )


def test_a_year_of_seconds_is_passed_over_at_once() -> None:
    now = NOON + timedelta(days=365, milliseconds=1)
    last = NOON + timedelta(days=365)
    none = ticks_due(EVERY_SECOND, due=NOON + MOMENT, now=now)
    assert (none.fire[0], none.fire[-1], none.following) == (last - LATE + MOMENT, last, last + MOMENT)
    late = NOON + timedelta(days=400)
    yearly = FireTimes.of_text("0 0 1 1 *", zone="UTC", created_at=NOON)
    assert ticks_due(
        yearly, due=NOON - timedelta(days=400), now=late, catchup=CatchUp.ONE
    ).fire == [datetime(2027, 1, 1, tzinfo=UTC)]  # fmt: skip


@pytest.mark.parametrize(
    ("overlap", "is_busy", "fire"),
    [
        (Overlap.ALLOW, True, hours(12, 13, 14, 15)),
        (Overlap.SKIP, False, hours(12)),
        (Overlap.SKIP, True, []),
        (Overlap.REPLACE, True, hours(15)),
        (Overlap.REPLACE, False, hours(15)),
    ],
)
def test_where_jobs_must_not_overlap_ticks_that_are_seen_together_are_one_jobs(
    overlap: Overlap, is_busy: bool, fire: list[datetime]
) -> None:
    now = NOON + timedelta(hours=3, minutes=30)
    found = ticks_due(HOURLY, due=NOON, now=now, overlap=overlap, catchup=CatchUp.ALL, is_busy=is_busy)
    assert found == Ticks(fire, *hours(16))


def test_a_tick_that_was_promised_fires_though_the_rules_of_its_zone_have_changed() -> None:
    promised = NOON + timedelta(minutes=30)
    assert ticks_due(HOURLY, due=promised, now=promised + MOMENT).fire == [promised]


@pytest.mark.parametrize(
    ("cron", "missed", "left_out"),
    [
        ("@every 1s", timedelta(days=7), True),
        ("* * * * *", timedelta(days=7), True),
        ("* 9 * * *", timedelta(days=30), True),
        ("@every 1s", timedelta(seconds=MOST_MADE_UP_FOR), True),
        ("@every 1s", timedelta(seconds=MOST_MADE_UP_FOR - 1), False),
        ("0 0 1 1 *", timedelta(days=3650), False),
    ],
)
def test_where_each_is_made_up_for_these_are_the_latest_thousand(cron: str, missed: timedelta, left_out: bool) -> None:
    times = FireTimes.of_text(cron, zone="UTC", created_at=NOON)
    due = times.after(NOON)
    assert due is not None
    now, fired, looked = (
        due + missed,
        list[datetime](),
        ticks_due(times, due=due, now=due + missed, catchup=CatchUp.ALL),
    )
    assert looked.left_out_until == (looked.fire[0] if left_out else None)
    while looked.following is not None and looked.following <= now:
        fired += looked.fire
        looked = ticks_due(times, due=looked.following, now=now, catchup=CatchUp.ALL)
        assert looked.left_out_until is None
    fired += looked.fire
    assert len(fired) <= MOST_MADE_UP_FOR
    assert not left_out or len(fired) == MOST_MADE_UP_FOR
    assert fired == times.coming(fired[0] - MOMENT, len(fired)), "none between them is left out"
    assert times.after(fired[-1]) == looked.following
