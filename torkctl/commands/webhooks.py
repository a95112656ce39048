"""`torkctl webhooks`: how the addresses that a job tells of itself are doing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from torkctl.arguments import Interval, Job, Watch
from torkctl.nouns import noun
from torkctl.session import Session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tork.webhook import WebhookStatus
    from torkctl.client import Api
    from torkctl.output.listing import Listing
    from torkctl.output.tables import Table
    from torkctl.settings import OutputFormat


def app() -> typer.Typer:
    """The verb of webhooks."""
    return noun("webhooks", "", {"list": webhooks})


def webhooks(ctx: typer.Context, job: Job, watch: Watch = False, interval: Interval = None) -> int:
    """Show how the webhooks of a job are doing.

    Example: torkctl webhooks @last
    """
    from torkctl.references import watched
    from torkctl.refreshing import show

    return show(Session.of(ctx), watched(job, _look), watch=watch, interval=interval)


def _look(api: Api, job_id: str) -> Listing:
    from tork.webhook import WebhookStatus
    from torkctl.client.api import read
    from torkctl.client.resources import array
    from torkctl.output.listing import Listing

    raw = array(api, "jobs", job_id, "webhooks")
    statuses = [read(item, WebhookStatus) for item in raw]
    return Listing(
        document=raw,
        items=raw,
        names=[status.url for status in statuses],
        table=lambda output: _table(statuses, output),
        kind="webhooks",
    )


def _table(statuses: Sequence[WebhookStatus], output: OutputFormat) -> Table:
    from torkctl.output.tables import Table
    from torkctl.output.times import moment
    from torkctl.settings import OutputFormat

    columns = ["url", "delivered", "waiting", "given up", "last try", "error"]
    rows = [
        [
            status.url,
            str(status.delivered),
            str(status.waiting),
            str(status.given_up),
            moment(status.last_try_at),
            status.last_error,
        ]
        for status in statuses
    ]
    if output is OutputFormat.WIDE:
        columns += ["events", "status", "tries", "next try"]
        rows = [
            [*row, ", ".join(one.events), str(one.last_status or ""), str(one.tries or ""), moment(one.next_try_at)]
            for row, one in zip(rows, statuses, strict=True)
        ]
    return Table(columns=columns, rows=rows, shortened="error", dropped=("last try",))
