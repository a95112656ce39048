"""Reading nodes and the figures of the whole."""

from __future__ import annotations

from tork.node import Metrics, Node, NodeFigures, NodeStatus, RunningCount
from tork.wire import as_utc, whole
from torkd.datastore.postgres.querying import Querying
from torkd.datastore.postgres.statements import load_statements
from torkd.datastore.protocol import EngineFigures

_SQL = load_statements("node_reading.sql")


class NodeReading(Querying):
    """The part of reading that is about the machines."""

    def nodes(self) -> list[Node]:
        with self._cursor() as cursor:
            rows = cursor.execute(_SQL.get_nodes).fetchall()
        return [
            Node(
                **row
                | {
                    "status": NodeStatus(row["status"]),
                    "started_at": as_utc(row["started_at"]),
                    "last_heartbeat_at": as_utc(row["last_heartbeat_at"]),
                }
            )
            for row in rows
        ]

    def metrics(self) -> Metrics:
        with self._cursor() as cursor:
            row = cursor.execute(_SQL.get_metrics).fetchall()[0]
        return Metrics(
            jobs=RunningCount(running=row["jobs"]),
            tasks=RunningCount(running=row["tasks"]),
            nodes=NodeFigures(online=row["online"], cpu_percent=whole(row["cpu_percent"])),
        )

    def figures(self) -> EngineFigures:
        with self._cursor() as cursor:
            rows = cursor.execute(_SQL.get_figures).fetchall()
        found: dict[str, dict[str, float]] = {}
        for row in rows:
            found.setdefault(row["figure"], {})[row["label"]] = row["value"] or 0
        nodes = {tuple(label.split(" ")): value for label, value in found.get("nodes", {}).items()}
        return EngineFigures(
            jobs=_counts(found.get("jobs", {})),
            tasks=_counts(found.get("tasks", {})),
            outbox=int(found["outbox"][""]),
            outbox_age_seconds=max(found["outbox_age"][""], 0.0),
            nodes={(kind, status): int(value) for (kind, status), value in nodes.items()},
            cpu_percent=found.get("cpu_percent", {}),
            worker_tasks=int(found["worker_tasks"][""]),
            jobs_stored=int(found["jobs_stored"][""]),
            schedules_late=int(found["schedules_late"][""]),
        )


def _counts(values: dict[str, float]) -> dict[str, int]:
    return {label: int(value) for label, value in values.items()}
