"""The days of what tasks print: each has a partition, made ahead of it and dropped as a whole when it is old.

What is printed never waits for a partition to be made or dropped for longer than a moment: when the lock that takes is not to
be had at once, the next round tries again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import psycopg
from psycopg import sql

from torkd.datastore.postgres.pool import Connection, Pool
from torkd.datastore.postgres.statements import load_statements

log = logging.getLogger(__name__)

SQL = load_statements("upkeep.sql")

AHEAD = 2
"""How many days beyond the present one have a partition."""
COARSE_SECONDS = 2 * 86400.0
"""Where logs are kept for less than this, whole days are too coarse, and parts go one by one before their day does."""
_LOCK_TIMEOUT = "300ms"
_PREFIX = "task_log_parts_"


def keep_log_days(pool: Pool, logs_seconds: float) -> int:
    """Make the partitions that are missing, drop those that are old; how many were dropped."""
    with pool.connection() as connection:
        row = connection.execute(SQL.log_days).fetchone()
    assert row is not None
    now, names = row
    days = {day for name in names if (day := _day_of(name)) is not None}
    today = now.astimezone(UTC).date()
    for day in (today + timedelta(days=ahead) for ahead in range(AHEAD + 1)):
        if day not in days:
            _alone(pool, _make, day)
    oldest = now - timedelta(seconds=logs_seconds)
    return sum(_alone(pool, _drop, day) for day in sorted(days) if _start_of(day + timedelta(days=1)) <= oldest)


def _alone(pool: Pool, change: Callable[[Connection, date], bool], day: date) -> bool:
    """One change in a transaction of its own; whether it was made. Another coordinator may be about to make it."""
    with pool.connection() as connection:
        if not connection.execute(SQL.lock_retention).fetchone()[0]:  # type: ignore[index]  # it answers always
            return False
        connection.execute(SQL.set_lock_timeout, {"timeout": _LOCK_TIMEOUT})
        try:
            with connection.transaction():
                return change(connection, day)
        except psycopg.errors.LockNotAvailable:
            log.debug("the partition of %s is in use: it is seen to later", day)
        except (psycopg.errors.DuplicateTable, psycopg.errors.UndefinedTable):
            log.debug("the partition of %s was seen to by somebody else", day)
    return False


def _make(connection: Connection, day: date) -> bool:
    """Made apart and then attached, which lets everybody else go on reading.

    Writers wait their turn meanwhile: a row on its way to the default partition would be refused by what that takes from then on.
    """
    connection.execute(SQL.lock_log)
    start, end = _start_of(day), _start_of(day + timedelta(days=1))
    stray = connection.execute(SQL.has_stray_logs, {"start": start, "end": end}).fetchone()
    if stray[0]:  # type: ignore[index]  # it answers always
        return False
    name = sql.Identifier(_name_of(day))
    connection.execute(sql.SQL("CREATE TABLE {} (LIKE task_log_parts INCLUDING DEFAULTS)").format(name))
    connection.execute(
        sql.SQL("ALTER TABLE task_log_parts ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})").format(
            name, start.isoformat(), end.isoformat()
        )
    )
    return True


def _drop(connection: Connection, day: date) -> bool:
    connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(_name_of(day))))
    log.info("what tasks printed on %s was removed", day)
    return True


def _name_of(day: date) -> str:
    return f"{_PREFIX}{day:%Y%m%d}"


def _day_of(name: str) -> date | None:
    try:
        return datetime.strptime(name.removeprefix(_PREFIX), "%Y%m%d").replace(tzinfo=UTC).date()
    except ValueError:
        return None


def _start_of(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
