"""Processes with keys over one database, a job full of a secret, and a look at all that is stored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psycopg

from tests.support.builders import a_job, a_subjob, a_task, an_each
from tests.support.databases import open_datastore
from tests.support.datastore_play import DatastorePlay
from tork.job import JobDefinition
from torkd.sealing import KeyRing

SECRET = "hunter2planted"


@contextmanager
def playing(dsn: str, keys: KeyRing, *, count_from: int = 1) -> Iterator[DatastorePlay]:
    """A process with these keys."""
    with ExitStack() as opened:
        datastore = opened.enter_context(open_datastore(dsn, keys=keys))
        play = opened.enter_context(DatastorePlay(datastore, dsn, keys))
        play.count_from(count_from)
        yield play


def a_secret_job() -> JobDefinition:
    inner = a_task("inner", env={"T": "{{ secrets.mine }}"}, var="out")
    return a_job(
        a_task("first", run=f"echo {SECRET}", env={"T": "{{ secrets.token }}"}, var="x"),
        an_each("{{ [secrets.token, tasks.x] }}", a_task("item", env={"T": "{{ item.value }}"})),
        a_subjob(inner, subjob={"secrets": {"mine": "{{ secrets.token }}"}, "output": "{{ tasks.out }}"}, var="below"),
        name=f"named {SECRET}",
        description=f"described {SECRET}",
        tags=["plain", SECRET],
        inputs={"given": SECRET},
        secrets={"token": SECRET},
        output="{{ tasks.below }}",
    )


def everything(dsn: str) -> str:
    """All rows of all tables."""
    with psycopg.connect(dsn) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        return "\n".join(
            str(row) for (table,) in tables for row in connection.execute(f"SELECT * FROM {table}".encode()).fetchall()
        )
