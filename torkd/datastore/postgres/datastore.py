"""PostgreSQL as the datastore: both pools, batches, reading and upkeep put together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tork.errors import DatastoreUnavailable
from torkd.datastore.postgres.batch import PostgresBatch
from torkd.datastore.postgres.migrations import migrate
from torkd.datastore.postgres.pool import PoolOptions, engine_pool, reading_pool
from torkd.datastore.postgres.reading import PostgresReading
from torkd.datastore.postgres.rekeying import Rekeying, Tell
from torkd.datastore.postgres.schedule_reading import ScheduleUpkeep
from torkd.datastore.postgres.sealed_columns import SealedColumns
from torkd.datastore.postgres.statements import load_statements
from torkd.datastore.postgres.upkeep import PostgresUpkeep
from torkd.datastore.postgres.webhook_queue import PostgresWebhooks
from torkd.hooks.redact import Redactor
from torkd.sealing import KeyMissing, KeyRing

SQL = load_statements("upkeep.sql")


class PostgresDatastore(PostgresReading, PostgresUpkeep, ScheduleUpkeep, PostgresWebhooks):
    """Implements `torkd.datastore.protocol.Datastore`."""

    def __init__(self, options: PoolOptions, keys: KeyRing | None = None, redactor: Redactor | None = None) -> None:
        """What may hold secrets is sealed with the key, if there is one; the redactor hides them in what webhooks are told."""
        self._options = options
        self._engine = engine_pool(options)
        self._questions = reading_pool(options)
        columns = SealedColumns(keys)
        PostgresReading.__init__(self, self._questions.connection, columns)
        PostgresUpkeep.__init__(self, self._engine, columns)
        PostgresWebhooks.__init__(self, self._engine, columns)
        self._redactor = redactor or Redactor()
        self._key_is_agreed = False

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
        if not self._key_is_agreed:
            self._agree_on_key()
        with self._engine.connection() as connection, connection.pipeline():
            yield PostgresBatch(connection, self._columns, self._redactor)
            # Not connection.commit(): within a pipeline it waits for its answer without having sent all of a large
            # statement, for ever (psycopg 3.3). The end of the pipeline sends everything first.
            connection.execute("COMMIT")

    def check_health(self) -> None:
        """Returns when the database answers, and what it holds can be opened."""
        with self._questions.connection() as connection:
            row = connection.execute(SQL.sealed_with).fetchone()
        self._raise_if_missing(row)
        if trouble := self._columns.trouble():
            raise DatastoreUnavailable(trouble)

    def _agree_on_key(self) -> None:
        """Before the first batch: a process that can't open what is there must change nothing; what others seal with is known."""
        keys = self._columns.keys
        with self._engine.connection() as connection:
            self._raise_if_missing(connection.execute(SQL.sealed_with).fetchone())
            if keys.is_sealing:
                connection.execute(SQL.seal_with, {"key_id": keys.key_id})
        self._key_is_agreed = True

    def _raise_if_missing(self, row: tuple[Any, ...] | None) -> None:
        try:
            self._columns.keys.raise_if_missing(row[0] if row else "")
        except KeyMissing as error:
            raise DatastoreUnavailable(f"the database holds values {error}") from error

    def rekeying(self, *, clear: bool = False, tell: Tell = lambda *_: None) -> Rekeying:
        """Sealing anew what is stored; `tell` hears how far it is."""
        return Rekeying(self._engine, self._columns, clear=clear, tell=tell)

    def migrate(self) -> list[str]:
        """Create or upgrade the schema."""
        return migrate(self._options.dsn)
