"""Reading how webhooks are doing."""

from __future__ import annotations

from typing import Any

from tork.errors import NotFound
from tork.webhook import WebhookStatus
from tork.wire import StoredDecoder
from torkd.datastore.postgres.querying import Querying, Row, bindable, moment
from torkd.datastore.postgres.statements import load_statements
from torkd.datastore.webhook_protocol import WebhookFigures
from torkd.engine.hook_events import HookEvent
from torkd.engine.webhooks import StoredWebhook, lanes_of

_SQL = load_statements("webhooks.sql")
_WEBHOOKS = StoredDecoder(list[StoredWebhook])


class PostgresWebhookReading(Querying):
    """The part of reading that is about webhooks."""

    def webhooks_of(self, job_id: str) -> list[WebhookStatus]:
        with self._cursor() as cursor:
            rows = cursor.execute(_SQL.get_lanes, {"job_id": bindable(job_id)}).fetchall()
        if not rows:
            raise NotFound("job not found")
        rows = [self._columns.open_row(row, row["id"]) for row in rows]
        webhooks = _WEBHOOKS.decode(rows[0]["webhooks"]) if rows[0]["webhooks"] else []
        stored = {row["lane"]: row for row in rows}
        events: dict[int, list[str]] = {}
        for lane, webhook in zip(lanes_of(webhooks), webhooks, strict=True):
            events.setdefault(lane, []).append(webhook.event or HookEvent.JOB_STATE.value)
        return [
            WebhookStatus(
                url=webhooks[lane].url,
                events=list(dict.fromkeys(heard)),
                **(_doing(stored[lane]) if lane in stored else {}),
            )
            for lane, heard in events.items()
        ]

    def webhook_figures(self) -> WebhookFigures:
        with self._cursor() as cursor:
            row = cursor.execute(_SQL.get_figures).fetchall()[0]
        return WebhookFigures(**row)


def _doing(row: Row) -> dict[str, Any]:
    return {
        "waiting": row["waiting"],
        "delivered": row["delivered"],
        "given_up": row["given_up"],
        "tries": row["tries"],
        "last_try_at": moment(row["tried_at"]),
        "last_status": row["status"] or 0,
        "last_error": row["error"] or "",
        "next_try_at": moment(row["due_at"]),
    }
