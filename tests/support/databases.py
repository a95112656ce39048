"""Databases with the schema in them: migrated once a run and server, copied for each test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.postgres import DEBIAN_15, PostgresServer, database_name
from torkd.datastore.postgres.datastore import PostgresDatastore
from torkd.datastore.postgres.migrations import migrate
from torkd.datastore.postgres.pool import PoolOptions
from torkd.sealing import KeyRing

MAJORS: dict[str, Path | None] = {"newest": None, "oldest": DEBIAN_15}
"""What a suite runs against: the programs of the wheel, and the oldest PostgreSQL that we support."""


class Databases:
    """A server with a template."""

    def __init__(self, server: PostgresServer) -> None:
        self.server = server
        template = server.create_database()
        migrate(template)
        self._template = database_name(template)

    @contextmanager
    def copy(self) -> Iterator[str]:
        """The DSN of a database that lasts as long as the block."""
        dsn = self.server.create_database(self._template)
        try:
            yield dsn
        finally:
            self.server.drop_database(dsn)


def binaries_of(major: str) -> Path | None:
    """The programs of `newest` or `oldest`. Skips where they are missing, but fails in CI."""
    binaries = MAJORS[major]
    if binaries is not None and not binaries.is_dir():
        sentence = f"{binaries} is missing: install the Debian package postgresql-15"
        if os.environ.get("CI"):
            pytest.fail(sentence)
        pytest.skip(sentence)
    return binaries


@contextmanager
def open_datastore(dsn: str, *, wait: float = 10.0, keys: KeyRing | None = None) -> Iterator[PostgresDatastore]:
    """A datastore that is open during the block."""
    datastore = PostgresDatastore(PoolOptions(dsn=dsn, max_connections=12, wait=wait), keys)
    datastore.open()
    try:
        yield datastore
    finally:
        datastore.close()
