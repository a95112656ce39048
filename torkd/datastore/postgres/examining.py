"""The doctor's questions to PostgreSQL: what should not be there, found over all jobs at once."""

from __future__ import annotations

from typing import Any

from torkd.datastore.postgres.querying import Querying, moment
from torkd.datastore.postgres.statements import load_statements
from torkd.datastore.protocol import Dispatch, DownNode, Examined, HandedOut, SilentRun
from torkd.engine.events import JobStalled, RetryDue, RunLost, TaskStalled

_SQL = load_statements("doctor.sql")


class Examination(Querying):
    """The part of reading that is about faults."""

    def examine(
        self, *, lease_seconds: float, late_seconds: float, unseen_seconds: float, limit: int = 100
    ) -> Examined:
        times = {"lease": lease_seconds, "late": late_seconds, "unseen": unseen_seconds, "limit": limit}
        with self._cursor() as cursor:
            now = cursor.execute(_SQL.moment).fetchall()[0]
            found = {
                name: cursor.execute(getattr(_SQL, name), times).fetchall()
                for name in (
                    "down_nodes", "stalled_jobs", "stalled_parents", "stalled_subjobs", "silent_runs", "late_retries",
                    "old_outbox", "waiting_hand_outs", "served_queues",
                )
            }  # fmt: skip
        keys = self._columns.keys
        return Examined(
            now=now["now"],
            is_busy=now["is_busy"],
            heartbeats_until=moment(now["heartbeats_until"]),
            down_nodes=[DownNode(**row) for row in found["down_nodes"]],
            stalled_jobs=[_stalled_job(self._columns.open_row(row, row["id"])) for row in found["stalled_jobs"]],
            stalled_tasks=[
                *(_stalled_parent(row) for row in found["stalled_parents"]),
                *(
                    _stalled_subjob(self._columns.open_row(row, row["subjob_id"] or ""))
                    for row in found["stalled_subjobs"]
                ),
            ],
            silent_runs=[_silent_run(row) for row in found["silent_runs"]],
            late_retries=[RetryDue(task_id=row["id"], **_job_of(row)) for row in found["late_retries"]],
            old_outbox=[Dispatch(**row) for row in found["old_outbox"]],
            waiting=[HandedOut(**row) for row in found["waiting_hand_outs"] if row["count"]],
            queues=frozenset(row["queue"] for row in found["waiting_hand_outs"]),
            served_queues=frozenset(row["queue"] for row in found["served_queues"]),
            older_keys=keys.older_count,
            is_rekeyed=keys.key_id == now["sealed_with"] == now["rekeyed_with"],
        )


def _job_of(row: dict[str, Any]) -> dict[str, Any]:
    return {"job_id": row["job_id"], "root_id": row["root_id"]}


def _stalled_job(row: dict[str, Any]) -> JobStalled:
    return JobStalled(
        job_id=row["id"],
        root_id=row["root_id"],
        version=row["version"],
        task_id=row["task_id"] or "",
        error=row["error"] or "",
    )


def _stalled_parent(row: dict[str, Any]) -> TaskStalled:
    done, size = row["done"], row["size"]
    return TaskStalled(
        task_id=row["id"],
        version=row["version"],
        is_done=done >= size,
        error="" if done >= size else f"only {done} of its {size} children have ended well, and none is left",
        **_job_of(row),
    )


def _stalled_subjob(row: dict[str, Any]) -> TaskStalled:
    is_done = row["state"] == "COMPLETED"
    why = row["error"] or (f"its sub-job is {row['state']}" if row["state"] else "its sub-job is gone")
    return TaskStalled(
        task_id=row["id"],
        version=row["version"],
        is_done=is_done,
        result=(row["result"] or "") if is_done else "",
        error="" if is_done else why,
        **_job_of(row),
    )


def _silent_run(row: dict[str, Any]) -> SilentRun:
    lost = RunLost(
        task_id=row["id"],
        dispatch=row["dispatch"],
        run_id=row["run_id"],
        lease_id=row["lease_id"],
        **_job_of(row),
    )
    return SilentRun(lost=lost, node_id=row["node_id"], may_be_given_up=row["may_be_given_up"])
