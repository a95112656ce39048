"""`torkctl timeline`: where the time of a job went."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

from torkctl.arguments import Interval, Job, Watch
from torkctl.session import Session

if TYPE_CHECKING:
    from torkctl.client import Api
    from torkctl.output.listing import Picture


def timeline(ctx: typer.Context, job: Job, watch: Watch = False, interval: Interval = None) -> int:
    """Show when each task of a job queued and ran.

    The tasks that the job's duration hangs on, its critical path, are marked with *.

    Example: torkctl timeline @last
    """
    from torkctl.references import watched
    from torkctl.refreshing import show

    return show(Session.of(ctx), watched(job, _look), watch=watch, interval=interval)


def _look(api: Api, job_id: str) -> Picture:
    from torkctl.branches import branches
    from torkctl.nesting import sub_jobs
    from torkctl.output import stdout
    from torkctl.output.listing import Picture
    from torkctl.output.timeline import timeline_lines
    from torkctl.output.timeline_document import timeline_document
    from torkctl.timing import flat, timed

    job = api.job(job_id)
    now = datetime.now(UTC)
    top = timed(branches(job, sub_jobs(api, job)), now)
    return Picture(
        document=timeline_document(job, top, now),
        names=[one.branch.task.id for _, one in flat(top) if one.is_critical],
        draw=lambda output: timeline_lines(
            job, top, now, width=stdout.width(), color=stdout.uses_color(), output=output
        ),
        is_final=not job.state.is_active,
    )
