"""The suite of every datastore. There is one, so what differs is the server below it, the newest and the oldest major, and
whether what it stores is sealed.
"""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg.rows import dict_row

from tests.support.databases import MAJORS, Databases, binaries_of, open_datastore
from tests.support.datastore_play import DatastorePlay
from tests.support.postgres import PostgresServer
from torkd.datastore.postgres.datastore import PostgresDatastore
from torkd.sealing import KeyRing

SEALED = "newest, sealed"


@pytest.fixture(scope="session", params=[pytest.param(name, marks=pytest.mark.postgres) for name in (*MAJORS, SEALED)])
def below(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def databases(below: str) -> Iterator[Databases]:
    with PostgresServer.start(binaries=binaries_of(below.partition(",")[0])) as server:
        yield Databases(server)


@pytest.fixture
def keys(below: str) -> KeyRing:
    return KeyRing("the key of the suite") if below == SEALED else KeyRing()


@pytest.fixture
def dsn(databases: Databases) -> Iterator[str]:
    with databases.copy() as dsn:
        yield dsn


@pytest.fixture
def datastore(dsn: str, keys: KeyRing) -> Iterator[PostgresDatastore]:
    with open_datastore(dsn, keys=keys) as datastore:
        yield datastore


@pytest.fixture
def other_session(dsn: str) -> Iterator[psycopg.Connection[dict[str, object]]]:
    """Somebody else in the same database. Nothing is committed unless the test says so."""
    with psycopg.connect(dsn, row_factory=dict_row) as connection:
        yield connection
        connection.rollback()


@pytest.fixture
def play(datastore: PostgresDatastore, dsn: str, keys: KeyRing) -> Iterator[DatastorePlay]:
    with DatastorePlay(datastore, dsn, keys) as play:
        yield play
