from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from tests.support.databases import open_datastore
from tests.support.datastore_play import DatastorePlay
from tests.support.engine_running import RunningEngine
from torkd.datastore.postgres.datastore import PostgresDatastore


@pytest.fixture
def datastore(dsn: str) -> Iterator[PostgresDatastore]:
    with open_datastore(dsn) as datastore:
        yield datastore


@pytest.fixture
def stored(datastore: PostgresDatastore, dsn: str) -> Iterator[DatastorePlay]:
    """A look behind the engine."""
    with DatastorePlay(datastore, dsn) as play:
        yield play


@pytest.fixture
def engine(datastore: PostgresDatastore) -> Iterator[RunningEngine]:
    """Without a worker."""
    with RunningEngine(datastore) as engine:
        yield engine


@pytest.fixture
def other_session(dsn: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(dsn) as connection:
        yield connection
        connection.rollback()
