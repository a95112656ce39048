"""What an earlier version wrote: its messages and its database. They were recorded once, and are never written again.

A new kind of message, or a migration, gets a recording of its own beside these.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from tork.wire import StoredDecoder
from torkd.broker.messages import CoordinatorMessage, LiveChanges, NodeOrder, RunTask

FOLDER = Path(__file__).parents[1] / "integration" / "versions" / "recorded"

Recorded = RunTask | CoordinatorMessage | NodeOrder | LiveChanges
_DECODERS: dict[str, StoredDecoder[Any]] = {
    **dict.fromkeys(("run",), StoredDecoder(RunTask)),
    **dict.fromkeys(("stop", "grant", "refuse", "acknowledge", "forget"), StoredDecoder[Any](NodeOrder)),  # type: ignore[arg-type] # a union is no type to mypy here
    "live": StoredDecoder(LiveChanges),
}
_COORDINATOR: StoredDecoder[Any] = StoredDecoder(CoordinatorMessage)  # type: ignore[arg-type] # a union is no type to mypy here


def recorded_messages() -> list[dict[str, Any]]:
    """The messages of version 1, as JSON."""
    lines = (FOLDER / "messages-v1.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def read_message(document: dict[str, Any]) -> Any:
    """As the broker's adapter reads it."""
    decoder = _DECODERS.get(document["kind"], _COORDINATOR)
    return decoder.decode(json.dumps(document))


def recorded_database() -> dict[str, Any]:
    """The rows of a database of the first migration, in the middle of several jobs; and that migration's checksum."""
    document: dict[str, Any] = json.loads((FOLDER / "database-0001.json").read_text(encoding="utf-8"))
    return document


def fill(dsn: str, rows: dict[str, list[dict[str, Any]]]) -> None:
    """Put the rows into an empty database of that migration."""
    with psycopg.connect(dsn) as connection:
        for table, recorded in rows.items():
            name = sql.Identifier(table)
            connection.execute(sql.SQL("DELETE FROM {}").format(name))
            for row in recorded:
                statement = sql.SQL(
                    "INSERT INTO {} OVERRIDING SYSTEM VALUE SELECT * FROM jsonb_populate_record(NULL::{}, %s::jsonb)"
                )
                connection.execute(statement.format(name, name), (json.dumps(row),))
        connection.execute(
            "SELECT setval(pg_get_serial_sequence('task_log_parts', 'seq'), (SELECT max(seq) FROM task_log_parts))"
        )
