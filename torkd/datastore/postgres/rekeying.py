"""Seals anew what is stored: with the key of now instead of older ones or none; or opens all of it for good.

It goes through the tables in the order of their keys, some rows a transaction, under the lock of their root job, beside daemons that
work. Invariants: a value is replaced only while nobody else can change it; what is sealed as wanted is left alone, so it may
be killed and begun again, and be done twice; memory is bounded by `GROUP_BYTES` and a window of keys.
"""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql

from tork import wire
from tork.errors import BadData, DatastoreUnavailable, StartError
from torkd.datastore.postgres.pool import Connection, Pool
from torkd.datastore.postgres.sealed_columns import CLEAR, MARK, SealedColumns
from torkd.datastore.postgres.sealed_tables import SEALED_TABLES, SealedTable
from torkd.datastore.postgres.statements import load_statements
from torkd.sealing import KeyMissing
from torkd.sealing.key_ring import VERSION

SQL = load_statements("rekey.sql")
BATCH_SQL = load_statements("batch.sql")
UPKEEP_SQL = load_statements("upkeep.sql")

WINDOW = 1_000
"""Keys that are looked at in one statement."""
GROUP_ROWS, GROUP_BYTES = 200, 4_000_000
"""So much is sealed anew in one transaction at most; but for a single row, however large."""
_PAUSE_SECONDS = 0.05
_PATIENCE, _RETRIES = 20, 40
"""So often rows of jobs that others work on are tried again without waiting for them; and so often in all. Then they are left."""

Tell = Callable[[str, int, int], None]
"""Is told the table, how many of its rows were looked at and about how many it has."""


@dataclass(slots=True)
class Resealed:
    """What came of it, by table."""

    done: dict[str, int] = field(default_factory=dict)
    """Rows that were sealed anew."""
    left: dict[str, int] = field(default_factory=dict)
    """Rows that are still as they were."""
    damaged: list[str] = field(default_factory=list)
    """Sentences about values that can't be opened: somebody has changed them."""


class Rekeying:
    """Over one database. `clear` is for ending encryption."""

    def __init__(
        self, pool: Pool, columns: SealedColumns, *, clear: bool = False, tell: Tell = lambda *_: None
    ) -> None:
        self._pool, self._columns, self._clear, self._tell = pool, columns, clear, tell
        self._forms = {table.name: _Forms(table, columns, clear=clear) for table in SEALED_TABLES}
        self._current = tuple(_marks_of(columns))

    def begin(self) -> None:
        """Agree on the key. Raises `StartError` where that would harm a process that is alive."""
        keys = self._columns.keys
        with self._pool.connection() as connection:
            sealed_with, is_alive = _one(connection.execute(SQL.state))
            try:
                keys.raise_if_missing(sealed_with)
            except KeyMissing as error:
                raise StartError(f"the database holds values {error}") from error
            if not self._clear and sealed_with != keys.key_id:
                if is_alive:
                    raise StartError(
                        f"daemons are at work, and none of them seals with the key {keys.key_id}: they could not read what is sealed "
                        "anew (right would be to give all of them the key first, as docs/secrets.md says)"
                    )
                connection.execute(UPKEEP_SQL.seal_with, {"key_id": keys.key_id})

    def run(self) -> Resealed:
        """Seal everything anew, and look whether all is done."""
        found = Resealed()
        for table in SEALED_TABLES:
            found.done[table.name] = self._reseal(table, found)
        found.left = self.count()
        if self._clear and not any(found.left.values()):
            with self._pool.connection() as connection:
                connection.execute(UPKEEP_SQL.seal_with, {"key_id": ""})
        return found

    def count(self) -> dict[str, int]:
        """How many rows are to be sealed anew, by table."""
        return {table.name: sum(map(len, self._groups(table))) for table in SEALED_TABLES}

    def note_done(self) -> None:
        """Nothing needs an older key any more, messages included: the doctor tells it until another key begins to seal."""
        with self._pool.connection() as connection:
            connection.execute(SQL.note_done, {"key_id": "" if self._clear else self._columns.keys.key_id})

    def _groups(self, table: SealedTable) -> Iterator[list[_Row]]:
        """Rows with something to be sealed anew, some at a time."""
        forms, after, seen = self._forms[table.name], [_FIRST[kind] for _, kind in table.key], 0
        width = len(after)
        with self._pool.connection() as connection:
            about = int(_one(connection.execute(SQL.estimate, {"table": table.name}))[0])
        while True:
            place = {f"after{number}": value for number, value in enumerate(after)}
            with self._pool.connection() as connection:
                rows = connection.execute(forms.ahead, forms.bound | place | {"window": WINDOW}).fetchall()
            yield from _grouped((_Row(tuple(row[:width]), row[width]), row[-1]) for row in rows if row[-1])
            seen += len(rows)
            self._tell(table.name, seen, max(about, seen))
            if len(rows) < WINDOW:
                return
            after = list(rows[-1][:width])

    def _reseal(self, table: SealedTable, found: Resealed) -> int:
        done = 0
        for rows in self._groups(table):
            changed, others = self._try(table, rows, found)
            done += changed
            for attempt in range(_RETRIES):
                if not others:
                    break
                time.sleep(_PAUSE_SECONDS)
                changed, others = self._try(table, others, found, wait=attempt >= _PATIENCE)
                done += changed
        return done

    def _try(
        self, table: SealedTable, rows: list[_Row], found: Resealed, *, wait: bool = False
    ) -> tuple[int, list[_Row]]:
        """In one transaction; how many rows were sealed anew, and those of jobs that somebody else works on."""
        try:
            with self._pool.connection() as connection:
                return self._change(connection, table, rows, found, wait=wait)
        except DatastoreUnavailable as error:
            if isinstance(error.__cause__, psycopg.errors.DeadlockDetected | psycopg.errors.LockNotAvailable):
                return 0, rows
            raise

    def _change(
        self, connection: Connection, table: SealedTable, rows: list[_Row], found: Resealed, *, wait: bool
    ) -> tuple[int, list[_Row]]:
        forms, width = self._forms[table.name], len(table.key)
        others: list[_Row] = []
        if table.of_jobs:
            roots: dict[str, str] = dict(
                connection.execute(SQL.roots, {"jobs": list({row.owner for row in rows})}).fetchall()
            )
            lock = BATCH_SQL.lock_roots_waiting if wait else BATCH_SQL.lock_roots
            locked = {root for (root,) in connection.execute(lock, {"roots": sorted(set(roots.values()))}).fetchall()}
            others = [row for row in rows if roots.get(row.owner, "") not in {"", *locked}]
            gone = set(others)
            rows = [row for row in rows if row not in gone]
        wanted = {f"keys{number}": [row.key[number] for row in rows] for number in range(width)}
        changes: list[dict[str, Any]] = []
        for stored in connection.execute(forms.rows, wanted).fetchall():
            key, owner, values = stored[:width], stored[width], stored[width + 1 :]
            try:
                anew = [self._anew(owner, value) for value in values]
            except BadData as error:
                found.damaged.append(f"{table.name}: {error}")
                continue
            if any(value is not None for value in anew):
                names = (*(name for name, _ in table.key), *table.columns)
                changes.append(dict(zip(names, (*key, *anew), strict=True)))
        if changes:
            connection.execute(forms.write, {"rows": wire.encode_text(changes)})
        return len(changes), others

    def _anew(self, owner: str, value: str | None) -> str | None:
        """The value as it is to be; None when it is like that already."""
        if not value or self._is_as_wanted(value):
            return None
        text = self._columns.open(owner, value)
        if not self._clear:
            return self._columns.seal(owner, text)
        return CLEAR + text if text.startswith(MARK) else text

    def _is_as_wanted(self, value: str) -> bool:
        if self._clear:
            return not value.startswith(MARK) or value.startswith(CLEAR)
        return value.startswith(self._current)


@dataclass(frozen=True, slots=True)
class _Row:
    key: tuple[Any, ...]
    owner: str


class _Forms:
    """The statements for one table, made of names that are ours."""

    def __init__(self, table: SealedTable, columns: SealedColumns, *, clear: bool) -> None:
        names = [sql.Identifier(name) for name, _ in table.key]
        kinds = [sql.SQL(kind) for _, kind in table.key]
        sealed = [sql.Identifier(name) for name in table.columns]
        self.bound: dict[str, Any] = {"mark": MARK, "clear": CLEAR} if clear else {"current": _marks_of(columns)}
        needs = sql.SQL(_IS_SEALED if clear else _IS_NOT_CURRENT)
        sizes = [
            sql.SQL("CASE WHEN {} THEN octet_length({}) ELSE 0 END").format(needs.format(c=name), name)
            for name in sealed
        ]
        known = {
            "table": sql.Identifier(table.name),
            "key": sql.SQL(", ").join(names),
            "owner": sql.Identifier(table.owner),
            "columns": sql.SQL(", ").join(sealed),
            "size": sql.SQL(" + ").join(sizes),
            "after": sql.SQL(", ").join(
                sql.SQL("{}::{}").format(sql.Placeholder(f"after{number}"), kind) for number, kind in enumerate(kinds)
            ),
            "keys": sql.SQL(", ").join(
                sql.SQL("{}::{}[]").format(sql.Placeholder(f"keys{number}"), kind) for number, kind in enumerate(kinds)
            ),
            "changes": sql.SQL(", ").join(sql.SQL("{0} = coalesce(r.{0}, t.{0})").format(name) for name in sealed),
            "record": sql.SQL(", ").join(
                [sql.SQL("{} {}").format(name, kind) for name, kind in zip(names, kinds, strict=True)]
                + [sql.SQL("{} text").format(name) for name in sealed]
            ),
            "match": sql.SQL(" AND ").join(sql.SQL("t.{0} = r.{0}").format(name) for name in names),
        }
        self.ahead, self.rows, self.write = (sql.SQL(SQL[name]).format(**known) for name in ("ahead", "rows", "write"))


_FIRST: dict[str, Any] = {"text": "", "int": -1, "bigint": -1}
"""Below every key of that type."""
_IS_SEALED = f"left({{c}}, {len(MARK)}) = %(mark)s AND left({{c}}, {len(CLEAR)}) <> %(clear)s"
_IS_NOT_CURRENT = f"{{c}} <> '' AND NOT left({{c}}, {len(MARK) + 7}) = ANY(%(current)s::text[])"


def _marks_of(columns: SealedColumns) -> list[str]:
    """How values begin that are sealed with the key of now: version and key id, up to the character that they share with the salt."""
    head = VERSION + bytes.fromhex(columns.keys.key_id)
    return [MARK + b64encode(head + bytes([bits << 6])).decode()[:7] for bits in range(4)]


def _grouped(rows: Iterable[tuple[_Row, int]]) -> Iterator[list[_Row]]:
    group: list[_Row] = []
    total = 0
    for row, size in rows:
        if group and (len(group) >= GROUP_ROWS or total + size > GROUP_BYTES):
            yield group
            group, total = [], 0
        group.append(row)
        total += size
    if group:
        yield group


def _one(cursor: psycopg.Cursor[tuple[Any, ...]]) -> tuple[Any, ...]:
    row = cursor.fetchone()
    assert row is not None
    return row
