"""Schema versions: numbered SQL files, each applied once, in its own transaction, by one process at a time.

A file that was applied must not change, and a database that is newer than this program is left alone unless it says that
this version can still run.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from importlib.resources import files

import psycopg
from psycopg.conninfo import conninfo_to_dict

from tork.errors import DatastoreUnavailable, StartError

_LOCK = 7464250
_LOCK_SECONDS = 3
"""How long a migration waits for a table: everybody else waits behind it."""
_TRIES = 20
_PAUSE_SECONDS = 0.5
"""Between two tries: in it goes on what had to wait."""
_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version    integer PRIMARY KEY,
    name       text NOT NULL,
    checksum   text NOT NULL,
    oldest     integer NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema. `oldest` is the lowest program version (counted in migrations) that can run after it."""

    version: int
    name: str
    sql: str
    oldest: int

    @property
    def checksum(self) -> str:
        """Of the file as it is shipped."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def shipped() -> list[Migration]:
    """The migrations that come with this program, in order. A first line `-- oldest: N` says who can still run."""
    found = []
    for entry in (files("torkd.datastore.postgres") / "sql" / "migrations").iterdir():
        if entry.name.endswith(".sql"):
            number, _, name = entry.name.removesuffix(".sql").partition("_")
            sql = entry.read_text(encoding="utf-8")
            first = sql.partition("\n")[0]
            oldest = int(first.removeprefix("-- oldest:")) if first.startswith("-- oldest:") else int(number)
            found.append(Migration(int(number), name, sql, oldest))
    return sorted(found, key=lambda migration: migration.version)


def migrate(dsn: str, migrations: list[Migration] | None = None) -> list[str]:
    """Bring the database to this program's version; the names of what was applied.

    Raises `StartError` when the database is too new, has tables of another program, or an applied file has changed,
    `DatastoreUnavailable` when it can't be reached.
    """
    wanted = shipped() if migrations is None else migrations
    check_dsn(dsn)
    try:
        with psycopg.connect(
            dsn, autocommit=True, application_name="torkd migration", connect_timeout=10
        ) as connection:
            connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
            _refuse_tables_of_others(connection)
            connection.execute(_TABLE)
            applied = {
                row[0]: row
                for row in connection.execute("SELECT version, name, checksum, oldest FROM schema_migrations")
            }
            _check(wanted, applied)
            missing = [migration for migration in wanted if migration.version not in applied]
            for migration in missing:
                _apply(connection, migration)
            return [f"{migration.version:04d}_{migration.name}" for migration in missing]
    except psycopg.Error as error:
        raise DatastoreUnavailable(f"the database can't be migrated: {_reason(error)}") from error


def _refuse_tables_of_others(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """Whoever comes from Tork has a configuration that names Tork's database. Nothing must be changed there."""
    row = connection.execute(
        "SELECT to_regclass('jobs') IS NULL OR to_regclass('schema_migrations') IS NOT NULL"
    ).fetchone()
    if row == (False,):
        raise StartError(
            f"datastore.postgres.dsn names the database {connection.info.dbname}, which has a table jobs that is not torkd's:"
            " another program's, such as Tork's (right would be an empty database; torkd takes nothing over)"
        )


def check_dsn(dsn: str) -> None:
    """Raises `StartError` for a text that is no DSN at all, which waiting can't help. Never shows it: it may hold a password."""
    try:
        conninfo_to_dict(dsn)
    except psycopg.ProgrammingError as error:
        reason = _reason(error)
        known = reason if reason.startswith("invalid connection option") else "it can't be read"
        raise StartError(
            f"datastore.postgres.dsn: {known} "
            '(right would be like "host=localhost port=5432 user=tork dbname=tork" or "postgres://tork@localhost:5432/tork")'
        ) from None


def check_schema(dsn: str) -> None:
    """Returns when the database answers and has a schema that this program can work with. Changes nothing.

    Raises `StartError` when a migration is missing or the database is too new, `DatastoreUnavailable` when it can't be reached.
    """
    wanted = shipped()
    try:
        with psycopg.connect(dsn, autocommit=True, application_name="torkd", connect_timeout=10) as connection:
            rows = connection.execute("SELECT version, name, checksum, oldest FROM schema_migrations").fetchall()
    except psycopg.errors.UndefinedTable:
        rows = []
    except psycopg.Error as error:
        raise DatastoreUnavailable(f"the database can't be reached: {_reason(error)}") from error
    applied = {row[0]: row for row in rows}
    _check(wanted, applied)
    if missing := [migration for migration in wanted if migration.version not in applied]:
        first = f"{missing[0].version:04d}_{missing[0].name}"
        raise StartError(f"the database lacks migration {first} (right would be to run torkd migration first)")


def _reason(error: psycopg.Error) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _check(wanted: list[Migration], applied: dict[int, tuple[int, str, str, int]]) -> None:
    newest = max((migration.version for migration in wanted), default=0)
    for version, name, checksum, oldest in applied.values():
        if version > newest and oldest > newest:
            raise StartError(
                f"the database has schema version {version} ({name}), this torkd knows {newest}: install a newer torkd"
            )
        ours = next((migration for migration in wanted if migration.version == version), None)
        if ours is not None and ours.checksum != checksum:
            raise StartError(
                f"migration {version:04d}_{ours.name} was changed after it was applied: install the torkd that applied it"
            )


def _apply(connection: psycopg.Connection[tuple[object, ...]], migration: Migration) -> None:
    """Daemons go on meanwhile, so it may have to wait for their locks, or meet one of them in a deadlock: then all of it is tried again."""
    for _ in range(_TRIES - 1):
        try:
            _apply_once(connection, migration)
        except (psycopg.errors.DeadlockDetected, psycopg.errors.LockNotAvailable):
            time.sleep(_PAUSE_SECONDS)
        else:
            return
    _apply_once(connection, migration)


def _apply_once(connection: psycopg.Connection[tuple[object, ...]], migration: Migration) -> None:
    with connection.transaction():
        connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'")
        connection.execute(migration.sql.encode())
        connection.execute(
            "INSERT INTO schema_migrations (version, name, checksum, oldest) VALUES (%s, %s, %s, %s)",
            (migration.version, migration.name, migration.checksum, migration.oldest),
        )
