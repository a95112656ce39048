from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.databases import Databases
from tests.support.postgres import PostgresServer


@pytest.fixture(scope="session")
def databases() -> Iterator[Databases]:
    with PostgresServer.start() as server:
        yield Databases(server)


@pytest.fixture
def dsn(databases: Databases) -> Iterator[str]:
    with databases.copy() as dsn:
        yield dsn
