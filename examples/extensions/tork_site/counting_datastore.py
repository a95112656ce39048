"""A datastore that stands on another: it counts the transactions of batches, and leaves the rest to the one below."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tork.errors import StartError
from tork_site.tally import Tally
from torkd.datastore.postgres.datastore import PostgresDatastore
from torkd.datastore.postgres.migrations import migrate
from torkd.datastore.postgres.pool import PoolOptions
from torkd.datastore.protocol import Batch

if TYPE_CHECKING:
    _Below = PostgresDatastore
else:
    _Below = object


class CountingDatastore(_Below):
    """`[datastore.counting]` has `dsn`, the database below."""

    def __init__(self, section: Mapping[str, Any], tally: Tally) -> None:
        if "dsn" not in section:
            raise StartError("datastore.counting.dsn is missing: set it to the database to count in")
        self._tally = tally
        self._dsn = str(section["dsn"])
        self._below = PostgresDatastore(PoolOptions(dsn=self._dsn))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._below, name)

    def open(self) -> None:
        """Bring the database up to date, and connect."""
        migrate(self._dsn)
        self._below.open()

    @contextmanager
    def begin(self) -> Iterator[Batch]:
        """Count what was committed."""
        with self._below.begin() as batch:
            yield batch
        self._tally.count("transactions")
