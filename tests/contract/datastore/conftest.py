"""The suite of every datastore. There is one, so what differs is the server below it: the newest and the oldest major."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg.rows import dict_row

from tests.support.databases import MAJORS, Databases, binaries_of, open_datastore
from tests.support.datastore_play import DatastorePlay
from tests.support.postgres import PostgresServer
from torkd.datastore.postgres.datastore import PostgresDatastore


@pytest.fixture(scope="session", params=[pytest.param(name, marks=pytest.mark.postgres) for name in MAJORS])
def databases(request: pytest.FixtureRequest) -> Iterator[Databases]:
    with PostgresServer.start(binaries=binaries_of(request.param)) as server:
        yield Databases(server)


@pytest.fixture
def dsn(databases: Databases) -> Iterator[str]:
    with databases.copy() as dsn:
        yield dsn


@pytest.fixture
def datastore(dsn: str) -> Iterator[PostgresDatastore]:
    with open_datastore(dsn) as datastore:
        yield datastore


@pytest.fixture
def other_session(dsn: str) -> Iterator[psycopg.Connection[dict[str, object]]]:
    """Somebody else in the same database. Nothing is committed unless the test says so."""
    with psycopg.connect(dsn, row_factory=dict_row) as connection:
        yield connection
        connection.rollback()


@pytest.fixture
def play(datastore: PostgresDatastore, dsn: str) -> Iterator[DatastorePlay]:
    with DatastorePlay(datastore, dsn) as play:
        yield play
