"""A throw-away PostgreSQL for a test run: fast, not durable, and gone when the run ends, even by kill -9.

It is the product's own embedded server with other settings, so its keeper ends it. Its files are in memory where
there is room; those of killed runs are removed by the next one.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import socket
import tempfile
from pathlib import Path
from types import TracebackType

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from tests.support.waiting import wait_until
from torkd.datastore import embedded_lock
from torkd.datastore.embedded import EmbeddedServer, start_embedded

DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")
"""The oldest major we support; None for `binaries` means the wheel's, which is the newest."""
NOT_DURABLE = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_wal_size": "128MB",
    "min_wal_size": "32MB",
}
NEEDED_BYTES = 2 << 30


class PostgresServer:
    """One server and its databases; a context manager. Use one a pytest session (with xdist: one a worker)."""

    def __init__(self, server: EmbeddedServer, dsn: str) -> None:
        self._server = server
        self.base = server.base
        self._numbers = itertools.count(1)
        self.dsn = dsn
        """Of the maintenance database `postgres`: tests ask for databases of their own."""

    @classmethod
    def start(cls, *, binaries: Path | None = None, tcp: bool = False, survives: bool = False) -> PostgresServer:
        """Start with the wheel's programs or those in `binaries`; reachable by its socket only, or on loopback too.

        What was committed outlives `restart` only if it `survives`.
        """
        _remove_leftovers()
        base = Path(tempfile.mkdtemp(prefix=_prefix(), dir=room()))
        base.chmod(0o711)  # the unprivileged server of root has to get in
        settings = dict(NOT_DURABLE)
        if survives:
            settings["synchronous_commit"] = "on"  # the system has it then, and only that would have to survive
        if tcp:
            settings |= {"listen_addresses": "127.0.0.1", "port": str(free_port())}
        server = start_embedded(base, binaries=binaries, settings=settings)
        host = {"host": "127.0.0.1"} if tcp else {}
        return cls(server, make_conninfo(server.dsn, dbname="postgres", **host))

    def create_database(self, template: str | None = None) -> str:
        """The DSN of a new database: empty, or a copy of the database named `template`, to which nobody is connected."""
        name = f"test_{os.getpid()}_{next(self._numbers)}"
        # Copying files beats writing a log of the copy when nothing is flushed.
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY")
        self._execute(statement.format(sql.Identifier(name), sql.Identifier(template or "template0")))
        return make_conninfo(self.dsn, dbname=name)

    def drop_database(self, dsn: str) -> None:
        """Drop the database of this DSN, ending whoever is connected to it."""
        name = database_name(dsn)
        self._execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def restart(self) -> None:
        """kill -9 of the server; returns when its keeper has started it again."""
        pid_file = self.base / "postgres" / "data" / "postmaster.pid"
        pid = int(pid_file.read_text().splitlines()[0])
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: self._is_back(pid_file, pid), timeout=60)

    def _is_back(self, pid_file: Path, old: int) -> bool:
        try:
            lines = pid_file.read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > 7 and lines[7].strip() == "ready" and int(lines[0]) != old

    def stop(self) -> None:
        self._server.stop()
        shutil.rmtree(self.base, ignore_errors=True)

    def _execute(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(statement)

    def __enter__(self) -> PostgresServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def database_name(dsn: str) -> str:
    return str(psycopg.conninfo.conninfo_to_dict(dsn)["dbname"])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _prefix() -> str:
    return f"torkd-tests-{os.geteuid()}-"


def room() -> Path:
    """Where files of throw-away servers go: into memory where there is enough of it."""
    memory = Path("/dev/shm")
    if memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > NEEDED_BYTES:
        return memory
    return Path(tempfile.gettempdir())


def _remove_leftovers() -> None:
    for base in room().glob(_prefix() + "*"):
        lock = base / "lock"
        if lock.exists() and not embedded_lock.is_taken(lock):
            shutil.rmtree(base, ignore_errors=True)
