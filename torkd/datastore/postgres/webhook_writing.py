"""Writing what the webhooks of a batch's jobs are told: read what the engine needs to say it, and store what it says.

Called before the changes themselves are written: what is stored is then as it was before the batch. Jobs without webhooks never
come here.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from psycopg.rows import dict_row

from tork.job import JobSummary
from tork.task import TaskSummary
from tork.wire import StoredDecoder
from torkd.datastore.postgres.job_rows import read_summary
from torkd.datastore.postgres.pool import Connection
from torkd.datastore.postgres.sealed_columns import SealedColumns
from torkd.datastore.postgres.statements import load_statements
from torkd.datastore.postgres.task_rows import read_task_summary
from torkd.engine.changes import Announce
from torkd.engine.rows import TaskRow
from torkd.engine.view import Context, View
from torkd.engine.webhooks import HookedJob, StoredWebhook, Told, header_reads, tell
from torkd.hooks.redact import Redactor

log = logging.getLogger(__name__)

SQL = load_statements("webhooks.sql")
READING_SQL = load_statements("job_reading.sql")

_WEBHOOKS = StoredDecoder(list[StoredWebhook])


def write(
    connection: Connection, view: View, cancelled: Mapping[str, int], columns: SealedColumns, redactor: Redactor
) -> None:
    """Store a delivery for every webhook that hears something of `view.announced`."""
    jobs = _hooked_jobs(connection, view, columns)
    told = tell(view.announced, jobs, _tasks(connection, view, columns), redactor)
    _log_troubles(told)
    if not told.deliveries:
        return
    rows = [
        {
            "job_id": delivery.job_id,
            "lane": delivery.lane,
            "target": delivery.target,
            "version": view.jobs[delivery.job_id].version
            if delivery.job_id in view.jobs
            else cancelled[delivery.job_id],
            "number": delivery.number,
            "event": delivery.event,
            "request": delivery.request,
        }
        for delivery in told.deliveries
    ]
    connection.execute(SQL.add_deliveries, {"rows": columns.rows_text(rows)})


def _log_troubles(told: Told) -> None:
    for trouble in dict.fromkeys(told.troubles):
        log.warning("%s", trouble.about, extra={"job_id": trouble.job_id})


def _hooked_jobs(connection: Connection, view: View, columns: SealedColumns) -> dict[str, HookedJob]:
    rows = {announcement.job.id: announcement.job for announcement in view.announced}
    asked = {"job_ids": list(rows), "viewer": None, "viewer_ids": None}
    with connection.cursor(row_factory=dict_row) as cursor:
        hooks = cursor.execute(SQL.hooked_jobs, {"jobs": list(rows)}).fetchall()
        summaries = cursor.execute(READING_SQL.get_summaries, asked).fetchall()
        with_secrets = [job_id for job_id, row in rows.items() if row.has_secrets]
        secrets = cursor.execute(READING_SQL.get_secrets, {"job_ids": with_secrets}).fetchall() if with_secrets else []
    webhooks = {row["job_id"]: _WEBHOOKS.decode(columns.open(row["job_id"], row["webhooks"])) for row in hooks}
    hidden: dict[str, list[str]] = {}
    for row in secrets:
        hidden.setdefault(row["job_id"], []).append(columns.open(row["owner_id"], row["value"]))
    contexts = _contexts(connection, view, webhooks, columns)
    return {
        row["id"]: HookedJob(
            summary=_known(view, read_summary(columns.open_row(row, row["id"]))),
            webhooks=webhooks[row["id"]],
            context=contexts.get(row["id"], {}),
            secrets=hidden.get(row["id"], ()),
        )
        for row in summaries
        if row["id"] in webhooks
    }


def _known(view: View, summary: JobSummary) -> JobSummary:
    """A new job is stored already, as it is at the end of the batch: only what does not change is known of it."""
    if summary.id not in view.new_jobs:
        return summary
    return JobSummary(
        id=summary.id,
        parent_id=summary.parent_id,
        created_by=summary.created_by,
        name=summary.name,
        description=summary.description,
        tags=summary.tags,
        inputs=summary.inputs,
        state=summary.state,
        created_at=summary.created_at,
        position=0,
        task_count=summary.task_count,
        schedule=summary.schedule,
    )


def _contexts(
    connection: Connection, view: View, webhooks: Mapping[str, Iterable[StoredWebhook]], columns: SealedColumns
) -> dict[str, Context]:
    """What the headers read: as stored, and what this batch has set."""
    reads = {
        job_id: needed
        for job_id, hooks in webhooks.items()
        if (needed := header_reads(hooks)).keys or needed.namespaces
    }
    found: dict[str, Context] = {}
    if not reads:
        return found
    wanted = {
        "jobs": list(reads),
        "keys": sorted({key for needed in reads.values() for key in needed.keys}),
        "namespaces": sorted({name for needed in reads.values() for name in needed.namespaces}),
    }
    for job_id, namespace, key, value in connection.execute(SQL.hooked_context, wanted).fetchall():
        name = key[len(namespace) + 1 :]
        found.setdefault(job_id, {}).setdefault(namespace, {})[name] = columns.open(job_id, value)
    for (job_id, var), value in view.results.items():
        if job_id in reads:
            found.setdefault(job_id, {}).setdefault("tasks", {})[var] = value
    return found


def _tasks(connection: Connection, view: View, columns: SealedColumns) -> dict[str, TaskSummary]:
    """What is known of the announced tasks besides their rows."""
    rows = _rows_of_tasks(view.announced)
    new = [row for task_id, row in rows.items() if task_id in view.new_tasks]
    known = {row.id: TaskSummary(description=row.spec.description, tags=row.spec.tags) for row in new if row.spec}
    copies = {row.id: row.copy_of for row in new if row.spec is None and row.copy_of}
    asked = [task_id for task_id in rows if task_id not in view.new_tasks] + sorted(set(copies.values()))
    if not asked:
        return known
    with connection.cursor(row_factory=dict_row) as cursor:
        stored = cursor.execute(SQL.hooked_tasks, {"tasks": asked}).fetchall()
    known |= {row["id"]: read_task_summary(columns.open_row(row, row["job_id"])) for row in stored}
    for task_id, source_id in copies.items():
        # A retry of what this very batch has made has its definition in hand; any other is stored.
        if source := known.get(source_id):
            known[task_id] = TaskSummary(description=source.description, tags=source.tags)
    return known


def _rows_of_tasks(announced: Collection[Announce]) -> dict[str, TaskRow]:
    return {announcement.task.id: announcement.task for announcement in announced if announcement.task is not None}


def stored_webhooks(webhooks: Iterable[Any], *, evaluated: bool) -> list[StoredWebhook] | None:
    """Webhooks as they are stored with their job; None when there are none."""
    return [
        StoredWebhook(
            url=webhook.url, headers=webhook.headers, event=webhook.event, if_=webhook.if_, evaluated=evaluated
        )
        for webhook in webhooks
    ] or None
