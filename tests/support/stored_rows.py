"""Puts rows into a database directly, for tests of reading: only what matters is spelled out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString

import psycopg
from psycopg import sql

NOON = datetime(2026, 1, 2, 12, 0, 0, 123400, tzinfo=UTC)
GUEST = "00000000000000000000000000000000"


class StoredRows:
    """Inserts into the tables. Ids are `j1`, `t1` and the like."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def job(
        self, job_id: str, *, description: str = "", tags: list[str] | None = None, at: int = 0, **columns: Any
    ) -> None:
        """A job that was created `at` seconds after noon."""
        details = {
            key: columns.pop(key) for key in ("output", "webhooks", "schedule_id", "schedule_cron") if key in columns
        }
        row: dict[str, Any] = {
            "id": job_id,
            "root_id": job_id,
            "name": job_id,
            "state": "RUNNING",
            "task_count": 1,
            "created_by": GUEST,
            "created_at": NOON + timedelta(seconds=at),
        } | columns
        self.insert("jobs", **row)
        self.insert("job_details", job_id=job_id, description=description, tags=tags or [], search="", **details)
        self._connection.execute(
            "UPDATE job_details SET search = to_tsvector('english', %s) WHERE job_id = %s",
            (f"{row['name']} {description}", job_id),
        )

    def task(self, task_id: str, job_id: str, *, at: int = 0, **columns: Any) -> None:
        """A task that was created `at` seconds after noon."""
        self.insert(
            "tasks",
            **{
                "id": task_id,
                "job_id": job_id,
                "root_id": job_id,
                "position": 1,
                "kind": "regular",
                "state": "RUNNING",
                "created_at": NOON + timedelta(seconds=at),
                "spec": '{"name":"a task"}',
            }
            | columns,
        )

    def value(self, job_id: str, key: str, value: str) -> None:
        """A value of the context; the key is such as `inputs.size`."""
        self.insert("job_context", job_id=job_id, key=key, namespace=key.partition(".")[0], value=value)

    def step(self, job_id: str, position: int, spec: str) -> None:
        """One of the job's tasks as it was submitted, or its output."""
        self.insert("job_steps", job_id=job_id, position=position, spec=spec, reads=[], reads_all=[])

    def part(
        self, task_id: str, job_id: str, number: int, contents: str, *, run: str = "r1", dispatch: int = 1
    ) -> None:
        """A part of a log."""
        self.insert(
            "task_log_parts",
            task_id=task_id,
            job_id=job_id,
            run_id=run,
            dispatch=dispatch,
            number=number,
            contents=contents,
            created_at=NOON,
        )

    def node(self, node_id: str, *, silent_seconds: int = 0, **columns: Any) -> None:
        """A node that was heard of some seconds ago."""
        heard = datetime.now(UTC) - timedelta(seconds=silent_seconds)
        row = {
            "lease_id": node_id,
            "name": node_id,
            "hostname": "h",
            "status": "UP",
            "version": "1",
            "started_at": NOON,
        }
        self.insert("nodes", id=node_id, last_heartbeat_at=heard, **row | columns)

    def execute(self, statement: LiteralString, values: tuple[Any, ...] = ()) -> None:
        """Any other statement."""
        self._connection.execute(statement, values)

    def insert(self, table: str, **columns: Any) -> None:
        """A row of any table."""
        statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
            sql.Identifier(table),
            sql.SQL(", ").join(map(sql.Identifier, columns)),
            sql.SQL(", ").join(map(sql.Placeholder, columns)),
        )
        self._connection.execute(statement, columns)
