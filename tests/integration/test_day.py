"""No table grows while jobs come and go: some rounds of what `make day` does for minutes.

So that the machine's speed does not matter, all that has ended goes at once, and vacuum comes after a number of rounds.
"""

from __future__ import annotations

import psycopg
import pytest

from tests.day.simulation import Day, TableSize
from tests.support.databases import open_datastore
from tests.support.datastore_play import DatastorePlay
from tests.support.postgres import PostgresServer
from torkd.datastore.postgres.migrations import migrate

ROUNDS = 10
SLACK_BYTES = 500_000


@pytest.mark.postgres
def test_sizes_level_off_while_jobs_come_and_go() -> None:
    with PostgresServer.start() as server:
        dsn = server.create_database()
        migrate(dsn)
        with open_datastore(dsn) as datastore, DatastorePlay(datastore, dsn) as play:
            day = Day(play, kept_seconds=0.0)
            sizes = [_some_hours(day, dsn) for _ in range(5)]
    early, late = sizes[1], sizes[-1]
    assert {"jobs", "tasks", "task_log_parts", "outbox", "nodes", "job_details"} <= late.keys()
    assert {name: size.live for name, size in late.items() if name in {"jobs", "tasks", "task_log_parts"}} == {
        "jobs": 0,
        "tasks": 0,
        "task_log_parts": 0,
    }
    growing = {
        name: (early[name].bytes, size.bytes)
        for name, size in late.items()
        if size.bytes > 1.3 * early[name].bytes + SLACK_BYTES
    }
    assert growing == {}


def _some_hours(day: Day, dsn: str) -> dict[str, TableSize]:
    for _ in range(ROUNDS):
        day.round()
    sizes = day.sizes()
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("VACUUM")
    vacuumed = day.sizes()
    return {name: TableSize(name, size.bytes, vacuumed[name].live, size.dead) for name, size in sizes.items()}
