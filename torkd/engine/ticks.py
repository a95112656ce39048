"""Which ticks of a schedule fire: those that are due, by its policies for missed ticks and for jobs that overlap.

A tick that is seen late is not missed yet: daemons are restarted, and machines are busy.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from tork.fire_times import FireTimes
from tork.job import CatchUp, Overlap

LATE = timedelta(seconds=30)
"""A tick that is seen later than this was missed."""
MOST_MADE_UP_FOR = 1000
"""Of ticks that were missed, where each is made up for: a week of a schedule of every second would be 600,000 jobs."""
_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Ticks:
    """What is to be done at one look."""

    fire: list[datetime]
    """The nominal times of the ticks that fire, in their order."""
    following: datetime | None
    """The tick after those that were dealt with; it may be due already. None when there is none any more."""
    left_out_until: datetime | None = None
    """Those before this one are too many to be made up for; None when none is left out for that."""


def ticks_due(
    times: FireTimes,
    *,
    due: datetime,
    now: datetime,
    overlap: Overlap = Overlap.ALLOW,
    catchup: CatchUp = CatchUp.NONE,
    is_busy: bool = False,
    most: int = 100,
) -> Ticks:
    """The ticks from `due` on until `now`, at most so many. `is_busy`: a job of the schedule is active.

    Where jobs must not overlap, ticks that are seen together are one job's.
    """
    if due > now:
        return Ticks([], due)
    if overlap is Overlap.SKIP and is_busy:
        return Ticks([], times.after(now))
    first = due
    if catchup is CatchUp.ALL and overlap is Overlap.ALLOW:
        first = _first_made_up_for(times, due, now)
    fire = _made_up_for(times, first, now, catchup, most)
    following = times.after(now)
    if overlap is Overlap.SKIP:
        fire = fire[:1]
    elif overlap is Overlap.REPLACE:
        fire = fire[-1:]
    elif len(fire) == most:
        following = times.after(fire[-1])
    return Ticks(fire, following, left_out_until=first if first > due else None)


def _first_made_up_for(times: FireTimes, due: datetime, now: datetime) -> datetime:
    """The first of all ticks until now, or of the latest ones when there are too many."""
    if sum(1 for _ in islice(_ticks(times, due, now), MOST_MADE_UP_FOR + 1)) <= MOST_MADE_UP_FOR:
        return due
    span = LATE
    while True:
        latest = deque(_ticks(times, max(due, now - span), now), maxlen=MOST_MADE_UP_FOR)
        if len(latest) == MOST_MADE_UP_FOR:
            return latest[0]
        span *= 2


def _ticks(times: FireTimes, since: datetime, until: datetime) -> Iterator[datetime]:
    tick = times.after(since - _INSTANT)
    while tick is not None and tick <= until:
        yield tick
        tick = times.after(tick)


def _made_up_for(times: FireTimes, due: datetime, now: datetime, catchup: CatchUp, most: int) -> list[datetime]:
    first = due if catchup is CatchUp.ALL else max(due, now - LATE)
    # The row says what was promised, should the rules of its time zone have changed meanwhile.
    found = [due] if first == due else []
    while len(found) < most and (tick := times.after(found[-1] if found else first - _INSTANT)) and tick <= now:
        found.append(tick)
    if not found and catchup is CatchUp.ONE:
        return [times.latest(since=due, until=now) or due]
    return found
