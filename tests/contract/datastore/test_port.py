"""Our datastore keeps the contract, as far as it shows through the port. The other modules here look below it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.databases import open_datastore
from torkd.datastore.protocol import Datastore
from torkd.sealing import KeyRing
from torkd.testing import DatastoreContract


class TestPostgres(DatastoreContract):
    """On the newest server and the oldest, in clear and sealed."""

    @pytest.fixture
    def datastore(self, dsn: str, keys: KeyRing) -> Iterator[Datastore]:
        with open_datastore(dsn, keys=keys) as datastore:
            yield datastore
