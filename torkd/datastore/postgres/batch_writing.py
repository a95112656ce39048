"""Writing what a batch decided: one statement a kind of row, whatever their number."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from msgspec.structs import replace

from tork import wire
from tork.job import JobDefinition
from tork.task import TaskDefinition
from torkd.datastore.postgres import webhook_writing
from torkd.datastore.postgres.batch_loading import ITEM_BLOCK
from torkd.datastore.postgres.pool import Connection
from torkd.datastore.postgres.sealed_columns import SealedColumns
from torkd.datastore.postgres.statements import load_statements
from torkd.datastore.postgres.task_decoding import decode_job
from torkd.datastore.postgres.webhook_writing import stored_webhooks
from torkd.datastore.protocol import Dispatch
from torkd.engine.changes import Announce, OrderKind, TellNode
from torkd.engine.hook_events import HookEvent
from torkd.engine.nested_secrets import nested_secrets
from torkd.engine.reads import Reads, reads_of, reads_of_text
from torkd.engine.rows import JobRow
from torkd.engine.view import View
from torkd.hooks.redact import Redactor, redact_text

SQL = load_statements("batch.sql")
READING_SQL = load_statements("job_reading.sql")

_JOB = {"jobs": "id"}
"""The column with the id of the job, where it has another name."""


def write(
    connection: Connection, view: View, published: Collection[Dispatch], columns: SealedColumns, redactor: Redactor
) -> dict[str, int]:
    """Write everything; answers with the versions of jobs that were cancelled without being in the view."""
    view.finish()
    cancelled = _cancel(connection, view, columns)
    if view.new_jobs:
        _insert_jobs(connection, view, columns)
    if view.stored_items:
        _insert_items(connection, view, columns)
    if view.announced:
        webhook_writing.write(connection, view, cancelled, columns, redactor)
    changed = [view.tasks[task_id] for task_id in view.dirty_tasks - view.new_tasks]
    rows: dict[str, list[Any]] = {
        "jobs": [view.jobs[job_id] for job_id in view.dirty_jobs - view.new_jobs],
        "new_tasks": [view.tasks[task_id] for task_id in sorted(view.new_tasks, key=_by_order(view))],
        "tasks": [replace(task, spec=None, scope=None) if task.spec else task for task in changed],
        "context": [
            {"job_id": job_id, "key": f"tasks.{var}", "namespace": "tasks", "value": value}
            for (job_id, var), value in view.results.items()
        ],
    }
    sent = [{"task_id": task.id, "dispatch": task.dispatch} for task in view.sent_rows()]
    if sent or published or any(rows.values()):
        documents = {name: columns.rows_text(values, job=_JOB.get(name, "job_id")) for name, values in rows.items()}
        documents |= {"sent": wire.encode_text(sent), "published": wire.encode_text(list(published))}
        connection.execute(SQL.write, documents, prepare=True)
    return cancelled


def _by_order(view: View) -> Any:
    def order(task_id: str) -> tuple[str, int]:
        task = view.tasks[task_id]
        return task.parent_id or "", task.item_index or 0

    return order


def _cancel(connection: Connection, view: View, columns: SealedColumns) -> dict[str, int]:
    versions: dict[str, int] = {}
    known = {"known_tasks": list(view.tasks), "now": view.cancelled_at}
    jobs, rows = set(view.cancelled), []
    if view.cancelled_below:
        rows = connection.execute(SQL.cancel_below, known | {"tasks": view.cancelled_below}).fetchall()
        jobs |= {job_id for kind, job_id, _ in rows if kind == "job"}
        rows = [row for row in rows if row[0] != "job"]
    if jobs:
        known |= {"known_jobs": list(view.jobs), "jobs": list(jobs)}
        rows += connection.execute(SQL.cancel_tree, known).fetchall()
    told = {(order.node_id, order.run_id) for order in view.orders if order.kind is OrderKind.STOP}
    for kind, first, second in rows:
        if kind == "job":
            versions[first] = int(second)
        elif kind == "tasks":
            view.cancelled_tasks += int(second)
        elif kind == "announce":
            job = decode_job(second, columns)
            if HookEvent.JOB_STATE in job.announces:
                view.announced.append(Announce(HookEvent.JOB_STATE, job))
        elif (first, second) not in told:
            view.orders.append(TellNode(OrderKind.STOP, first, second))
    return versions


def _insert_jobs(connection: Connection, view: View, columns: SealedColumns) -> None:
    jobs = [view.jobs[job_id] for job_id in view.new_jobs]
    inherited = _inherited_secrets(connection, view, jobs, columns)
    connection.execute(SQL.insert_jobs, {"rows": columns.rows_text(jobs, job="id")})
    details: list[dict[str, Any]] = []
    steps: list[dict[str, Any]] = []
    context: list[dict[str, str]] = []
    for job in jobs:
        definition = view.definitions[job.id]
        hidden = [*nested_secrets(definition.tasks), *inherited.get(job.id, ())]
        secrets = [*_secrets_at_hand(view, job), *hidden]
        details.append(
            {
                "job_id": job.id,
                "created_at": job.created_at,
                "created_by": job.created_by,
                "viewers": job.viewers,
                # Without secrets: else a search could confirm a guessed one.
                "searched": redact_text(f"{definition.name} {definition.description}", secrets),
                "description": definition.description,
                # SQL looks into tags: they can't be sealed, and can be searched for too.
                "tags": [redact_text(tag, secrets) for tag in definition.tags],
                "output": definition.output,
                "webhooks": stored_webhooks(definition.webhooks, evaluated=view.makers[job.id] is not None),
                "schedule_id": job.schedule_id,
                "schedule_cron": definition.schedule.cron if job.schedule_id and definition.schedule else None,
            }
        )
        steps.extend(_step_rows(job.id, definition))
        for namespace, values in (("inputs", definition.inputs), ("secrets", definition.secrets)):
            context.extend(
                {"job_id": job.id, "key": f"{namespace}.{name}", "namespace": namespace, "value": value}
                for name, value in values.items()
            )
        unknown = dict.fromkeys(value for value in hidden if value and value not in definition.secrets.values())
        context.extend(
            {"job_id": job.id, "key": f"hidden.{number}", "namespace": "hidden", "value": value}
            for number, value in enumerate(unknown)
        )
    connection.execute(SQL.insert_details, {"rows": columns.rows_text(details)})
    connection.execute(SQL.insert_steps, {"rows": columns.rows_text(steps)})
    if context:
        connection.execute(SQL.put_context, {"rows": columns.rows_text(context)})


def _secrets_at_hand(view: View, job: JobRow) -> list[str]:
    """The secrets that a text of a new job may hold: its own, and those of the jobs it comes from. Others' are none of its business."""
    found: list[str] = []
    origin: str | None = job.id
    while origin is not None:
        found += view.contexts.get(origin, {}).get("secrets", {}).values()
        row = view.jobs.get(origin)
        origin = view.makers.get(origin) or (row.parent_job_id if row is not None else None)
    return found


def _inherited_secrets(
    connection: Connection, view: View, jobs: Sequence[JobRow], columns: SealedColumns
) -> dict[str, list[str]]:
    """What detached jobs must hide of the jobs that made them: no row will lead from one to the other."""
    makers = {
        job.id: maker
        for job in jobs
        if job.has_secrets and job.parent_job_id is None and (maker := view.makers.get(job.id)) is not None
    }
    if not makers:
        return {}
    known: dict[str, list[str]] = {maker: _secrets_at_hand(view, view.jobs[maker]) for maker in makers.values()}
    rows = connection.execute(READING_SQL.get_secrets, {"job_ids": list(known)}).fetchall()
    for maker, owner, _, _, value in rows:
        known[maker].append(columns.open(owner, value))
    return {job_id: known[maker] for job_id, maker in makers.items()}


def _step_rows(job_id: str, definition: JobDefinition) -> list[dict[str, Any]]:
    rows = [
        _step_row(job_id, position, task, reads_of(task)) for position, task in enumerate(definition.tasks, start=1)
    ]
    if definition.output:
        rows.append(_step_row(job_id, len(definition.tasks) + 1, definition.output, reads_of_text(definition.output)))
    return rows


def _step_row(job_id: str, position: int, spec: TaskDefinition | str, reads: Reads) -> dict[str, Any]:
    return {
        "job_id": job_id,
        "position": position,
        "spec": spec,
        "reads": sorted(reads.keys),
        "reads_all": sorted(reads.namespaces),
    }


def _insert_items(connection: Connection, view: View, columns: SealedColumns) -> None:
    rows = [
        {
            "task_id": stored.task_id,
            "job_id": stored.job_id,
            "block": block,
            "items": stored.items[start : start + ITEM_BLOCK],
        }
        for stored in view.stored_items
        for block, start in enumerate(range(0, len(stored.items), ITEM_BLOCK))
    ]
    connection.execute(SQL.insert_items, {"rows": columns.rows_text(rows)})
