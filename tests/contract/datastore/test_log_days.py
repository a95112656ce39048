"""What tasks print has a partition a day: made ahead, dropped when it is old, and in nobody's way."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.support.datastore_play import DatastorePlay
from torkd.broker.messages import LogPrinted
from torkd.datastore.postgres import log_days

WEEK = 7 * 86400.0
DAY = timedelta(days=1)


def part(printed_at: datetime, number: int = 1, contents: str = "line\n", **ids: Any) -> LogPrinted:
    fields: dict[str, Any] = {"task_id": "t1", "job_id": "j1", "run_id": "r1", "dispatch": 1} | ids
    return LogPrinted(number=number, contents=contents, printed_at=printed_at, **fields)


def now(play: DatastorePlay) -> datetime:
    moment: datetime = play.row("SELECT now() AS now")["now"]
    return moment


def keep(play: DatastorePlay, logs: float = WEEK) -> int:
    return play.datastore.delete_old(jobs_seconds=1e9, logs_seconds=logs, limit=100)


def days(play: DatastorePlay) -> list[str]:
    """The partitions, without the default one."""
    query = "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'task_log_parts'::regclass ORDER BY 1"
    return [row["name"] for row in play.rows(query) if not row["name"].endswith("default")]


def homes(play: DatastorePlay) -> list[str]:
    """Where each stored part is, by number."""
    return [
        row["name"] for row in play.rows("SELECT tableoid::regclass::text AS name FROM task_log_parts ORDER BY number")
    ]


def name_of(moment: datetime) -> str:
    return f"task_log_parts_{moment:%Y%m%d}"


def make_day(play: DatastorePlay, moment: datetime) -> None:
    """As if it had been made in its time."""
    start = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    play.change(
        f"CREATE TABLE {name_of(start)} PARTITION OF task_log_parts FOR VALUES FROM ('{start.isoformat()}') "
        f"TO ('{(start + DAY).isoformat()}')"
    )


def test_days_are_made_ahead_and_take_what_is_printed(play: DatastorePlay) -> None:
    today = now(play)
    assert keep(play) == 0
    assert days(play) == [name_of(today + ahead * DAY) for ahead in range(3)]
    play.datastore.add_log_parts([part(today), part(today + DAY, 2)])
    assert homes(play) == [name_of(today), name_of(today + DAY)]
    assert keep(play) == 0


def test_a_day_goes_as_a_whole_when_all_of_it_is_old(play: DatastorePlay) -> None:
    today = now(play)
    keep(play)
    for back in (7, 8, 9):
        make_day(play, today - back * DAY)
        play.datastore.add_log_parts([part(today - back * DAY, back)])
    play.datastore.add_log_parts([part(today, 1)])
    assert keep(play) == 2
    assert homes(play) == [name_of(today), name_of(today - 7 * DAY)]
    assert name_of(today - 8 * DAY) not in days(play)


def test_where_logs_are_kept_for_hours_they_go_one_by_one(play: DatastorePlay) -> None:
    today = now(play)
    keep(play)
    play.datastore.add_log_parts([part(today, 1), part(today - timedelta(hours=3), 2)])
    assert keep(play, logs=7200.0) == 1
    assert len(homes(play)) == 1


@pytest.mark.parametrize("seconds", [-1, 0], ids=["before midnight", "at midnight"])
def test_a_part_that_comes_again_after_midnight_is_stored_once(play: DatastorePlay, seconds: int) -> None:
    """Its day is that of its printing, which is in the message, and not that of its coming."""
    keep(play)
    midnight = (now(play) + DAY).replace(hour=0, minute=0, second=0, microsecond=0)
    printed = part(midnight + timedelta(seconds=seconds))
    play.datastore.add_log_parts([printed])
    play.datastore.add_log_parts([part(midnight + timedelta(seconds=5), 2), printed])
    assert len(homes(play)) == 2


def test_a_worker_whose_clock_is_far_off_loses_nothing_and_its_parts_go_too(play: DatastorePlay) -> None:
    keep(play)
    today = now(play)
    play.datastore.add_log_parts([part(today - 400 * DAY, 1), part(today + 400 * DAY, 2), part(today, 3)])
    assert homes(play) == ["task_log_parts_default", "task_log_parts_default", name_of(today)]
    assert [place.part.number for place in play.datastore.log_after(job_id="j1", seq=0, limit=9)] == [1, 2, 3]
    assert keep(play) == 1
    assert len(homes(play)) == 2


def test_a_day_that_began_without_a_partition_stays_without(play: DatastorePlay) -> None:
    today = now(play)
    play.datastore.add_log_parts([part(today)])
    keep(play)
    assert days(play) == [name_of(today + DAY), name_of(today + 2 * DAY)]
    play.datastore.add_log_parts([part(today), part(today, 2)])
    assert homes(play) == ["task_log_parts_default"] * 2


def test_the_order_and_the_pages_of_a_log_do_not_care_for_days(play: DatastorePlay) -> None:
    keep(play)
    today = now(play)
    moments = [today + DAY, today, today + 2 * DAY, today]
    for number, moment in enumerate(moments, start=1):
        play.datastore.add_log_parts([part(moment, number)])
    places = play.datastore.log_after(task_id="t1", seq=0, limit=9)
    assert [place.part.number for place in places] == [1, 2, 3, 4]
    assert [place.seq for place in places] == sorted(place.seq for place in places)
    assert play.datastore.log_place("r1", 3, job_id="j1") == places[2].seq


def test_the_parts_of_an_old_job_go_and_no_others(play: DatastorePlay) -> None:
    """Rows are in the same places of several partitions, so a place tells no row."""
    keep(play)
    today = now(play)
    for ahead in range(3):
        parts = [part(today + ahead * DAY, number, job_id=f"j{number}", run_id=f"r{ahead}") for number in (1, 2)]
        play.datastore.add_log_parts(parts)
    insert = "INSERT INTO jobs (id, root_id, name, state, task_count, created_by, created_at) VALUES "
    play.change(insert + "('j1', 'j1', 'x', 'COMPLETED', 1, 'ann', now() - interval '400 days')")
    while play.datastore.delete_old(jobs_seconds=365 * 86400.0, logs_seconds=WEEK, limit=2):
        pass
    assert {row["job_id"] for row in play.rows("SELECT job_id FROM task_log_parts")} == {"j2"}
    assert play.count("task_log_parts") == 3


def test_a_table_that_is_in_use_is_left_for_later(
    play: DatastorePlay, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_days, "_LOCK_TIMEOUT", "20ms")
    today = now(play)
    make_day(play, today - 20 * DAY)
    with psycopg.connect(dsn) as reader:
        reader.execute("SELECT FROM task_log_parts")
        assert keep(play) == 0
        assert name_of(today - 20 * DAY) in days(play)
        play.datastore.add_log_parts([part(today)])
    play.change("DELETE FROM task_log_parts")
    assert keep(play) == 1
    assert days(play) == [name_of(today + ahead * DAY) for ahead in range(3)]


def test_no_day_is_made_while_somebody_writes(play: DatastorePlay, dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row on its way to the default partition would be refused."""
    monkeypatch.setattr(log_days, "_LOCK_TIMEOUT", "20ms")
    with psycopg.connect(dsn) as writer:
        writer.execute(log_days.SQL.lock_log)
        keep(play)
        assert days(play) == []
    keep(play)
    assert len(days(play)) == 3
