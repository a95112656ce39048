"""Running one named statement and getting its rows: what every reading class stands on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import DictRow, dict_row

from tork.wire import as_utc
from torkd.datastore.postgres.sealed_columns import SealedColumns

Connect = Callable[[], AbstractContextManager[psycopg.Connection[Any]]]
"""Lends a connection for the length of a block, and turns the driver's errors into ours."""
Row = DictRow


class Querying:
    """A part of reading. All statements of one answer run on one connection."""

    def __init__(self, connect: Connect, columns: SealedColumns | None = None) -> None:
        self._connect = connect
        self._columns = columns or SealedColumns()

    @contextmanager
    def _cursor(self) -> Iterator[psycopg.Cursor[Row]]:
        with self._connect() as connection, connection.cursor(row_factory=dict_row) as cursor:
            yield cursor


def bindable(text: str) -> str:
    """A text from outside as Postgres can take it. What it can't hold becomes a sign that nothing stored has."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def moment(value: datetime | None) -> datetime | None:
    """A stored time, in UTC whatever the connection's time zone is."""
    return None if value is None else as_utc(value)
