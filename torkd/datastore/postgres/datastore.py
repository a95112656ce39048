"""PostgreSQL as the datastore: both pools, batches, reading and upkeep put together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torkd.datastore.postgres.batch import PostgresBatch
from torkd.datastore.postgres.migrations import migrate
from torkd.datastore.postgres.pool import PoolOptions, engine_pool, reading_pool
from torkd.datastore.postgres.reading import PostgresReading
from torkd.datastore.postgres.upkeep import PostgresUpkeep


class PostgresDatastore(PostgresReading, PostgresUpkeep):
    """Implements `torkd.datastore.protocol.Datastore`."""

    def __init__(self, options: PoolOptions) -> None:
        self._options = options
        self._engine = engine_pool(options)
        self._questions = reading_pool(options)
        PostgresReading.__init__(self, self._questions.connection)
        PostgresUpkeep.__init__(self, self._engine)

    def open(self) -> None:
        """Connect both pools."""
        self._engine.open()
        self._questions.open()

    def close(self) -> None:
        """Disconnect."""
        self._questions.close()
        self._engine.close()

    @contextmanager
    def begin(self) -> Iterator[PostgresBatch]:
        """A transaction whose statements travel together: its commit shares the round trip of its last writes."""
        with self._engine.connection() as connection, connection.pipeline():
            yield PostgresBatch(connection)
            # Not connection.commit(): within a pipeline it waits for its answer without having sent all of a large
            # statement, for ever (psycopg 3.3). The end of the pipeline sends everything first.
            connection.execute("COMMIT")

    def check_health(self) -> None:
        """Returns when the database answers."""
        with self._questions.connection() as connection:
            connection.execute("SELECT 1")

    def migrate(self) -> list[str]:
        """Create or upgrade the schema."""
        return migrate(self._options.dsn)
