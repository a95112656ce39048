from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import Any

import psycopg
import pytest

from tests.support.postgres import PostgresServer
from tests.support.stored_rows import StoredRows
from torkd.datastore.postgres.reading import PostgresReading


@pytest.fixture(scope="session")
def database() -> Iterator[psycopg.Connection[Any]]:
    schema = (files("torkd.datastore.postgres") / "sql" / "schema.sql").read_text()
    with PostgresServer.start() as server, psycopg.connect(server.create_database()) as connection:
        connection.execute(schema)
        connection.execute("SET TIME ZONE 'Asia/Kolkata'")
        connection.commit()
        yield connection


@pytest.fixture
def connection(database: psycopg.Connection[Any]) -> Iterator[psycopg.Connection[Any]]:
    """One transaction a test, rolled back: tests see nothing of each other."""
    try:
        yield database
    finally:
        database.rollback()


@pytest.fixture
def stored(connection: psycopg.Connection[Any]) -> StoredRows:
    return StoredRows(connection)


@pytest.fixture
def reading(connection: psycopg.Connection[Any]) -> PostgresReading:
    @contextmanager
    def connect() -> Iterator[psycopg.Connection[Any]]:
        yield connection

    return PostgresReading(connect)
