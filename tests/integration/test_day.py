"""No table grows while jobs come and go: some rounds of what `make day` does for minutes, and every table has its part in it.

So that the machine's speed does not matter, all that has ended goes at once, and vacuum comes after a number of rounds.
"""

from __future__ import annotations

import re
from dataclasses import replace
from importlib.resources import files

import pytest

from tests.day.simulation import Day, TableSize
from tests.support.databases import open_datastore
from tests.support.datastore_play import DatastorePlay
from tests.support.postgres import PostgresServer
from torkd.datastore.postgres.migrations import migrate

ROUNDS = 8
SLACK_BYTES = 500_000
STILL = {"schema_migrations"}
"""Tables that no day changes."""
EMPTY = (
    *("jobs", "job_details", "job_steps", "job_context", "tasks", "task_items", "task_log_parts"),
    *("webhook_lanes", "webhook_deliveries", "audit_log"),
)
"""Tables of which nothing is left once everything has ended and is old."""


@pytest.mark.postgres
def test_sizes_level_off_while_jobs_come_and_go() -> None:
    with PostgresServer.start() as server:
        dsn = server.create_database()
        migrate(dsn)
        with open_datastore(dsn) as datastore, DatastorePlay(datastore, dsn) as play:
            day = Day(play, kept_seconds=0.0)
            sizes = [_some_hours(day, play) for _ in range(5)]
    early, late = sizes[1], sizes[-1]
    assert late.keys() == _tables_of_the_schema() | {"schema_migrations"}
    idle = {name for name, size in late.items() if size.written <= early[name].written}
    assert idle <= STILL, "these tables have nothing to do in the simulation: let them have something"
    assert {name: late[name].live for name in EMPTY} == dict.fromkeys(EMPTY, 0)
    piling_up = {
        name: (early[name].live, size.live) for name, size in late.items() if size.live > 1.5 * early[name].live + 10
    }
    assert piling_up == {}
    growing = {
        name: (early[name].bytes, size.bytes)
        for name, size in late.items()
        if size.bytes > 1.3 * early[name].bytes + SLACK_BYTES
    }
    assert growing == {}


def _tables_of_the_schema() -> set[str]:
    """Those that the schema's text makes; partitions count with their table."""
    text = (files("torkd.datastore.postgres") / "sql" / "schema.sql").read_text()
    return set(re.findall(r"^CREATE TABLE (\w+)(?! PARTITION OF)\b", text, re.MULTILINE)) - {"task_log_parts_default"}


def _some_hours(day: Day, play: DatastorePlay) -> dict[str, TableSize]:
    for _ in range(ROUNDS):
        day.round()
    sizes = day.sizes()
    play.change("VACUUM")
    return {name: replace(size, live=play.count(name)) for name, size in sizes.items()}  # statistics come late
