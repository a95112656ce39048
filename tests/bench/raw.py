"""What the machine can do without us: starting bash, and the same PostgreSQL on the same disk with nothing in between."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from torkd.datastore.embedded import start_embedded

_ROWS = 100
_INSERT = "INSERT INTO raw (name, state, spec) SELECT 'name ' || n, 'CREATED', %s FROM generate_series(1, 100) n"
_SPEC = '{"name":"a task","run":"true","env":{"NAME":"value"}}'


def bash_ms(count: int) -> float:
    """A bare `bash -c true` with captured output, in milliseconds."""
    started = time.perf_counter()
    for _ in range(count):
        subprocess.run(["bash", "-c", "true"], capture_output=True, check=True)
    return (time.perf_counter() - started) / count * 1000


class RawPostgres:
    """A server of its own with the shipped settings, and one connection; a context manager."""

    def __enter__(self) -> RawPostgres:
        self._base = Path(tempfile.mkdtemp(prefix="torkd-bench-"))
        self._base.chmod(0o711)
        try:
            self._server = start_embedded(self._base)
        except BaseException:
            shutil.rmtree(self._base, ignore_errors=True)
            raise
        self._connection = psycopg.connect(self._server.dsn, autocommit=True)
        self._connection.execute("CREATE TABLE raw (id bigserial PRIMARY KEY, name text, state text, spec text)")
        return self

    def create_database(self, name: str) -> str:
        """An empty one on the same server and disk; its DSN."""
        self._connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return make_conninfo(self._server.dsn, dbname=name)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()
        self._server.stop()
        shutil.rmtree(self._base, ignore_errors=True)

    def commits_per_second(self, count: int = 400) -> float:
        """Inserts of one row, each flushed to the disk."""
        started = time.perf_counter()
        for _ in range(count):
            self._connection.execute("INSERT INTO raw (name) VALUES ('one')")
        return count / (time.perf_counter() - started)

    def rows_per_second(self, count: int = 100) -> float:
        """Rows, inserted 100 a transaction."""
        started = time.perf_counter()
        for _ in range(count):
            self._connection.execute(_INSERT, [_SPEC])
        return count * _ROWS / (time.perf_counter() - started)
