"""`torkctl tree`: a job and all that is below it, once or live."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from torkctl.arguments import Interval, Job, Watch
from torkctl.session import Session
from torkctl.settings import OutputFormat

if TYPE_CHECKING:
    from torkctl.client import Api
    from torkctl.output.listing import Picture


def tree(ctx: typer.Context, job: Job, watch: Watch = False, interval: Interval = None) -> int:
    """Show a job as a tree, once or live.

    Tasks, what is inside them, their states, durations, nodes and attempts. A watch ends with the job.

    Example: torkctl tree @last --watch
    """
    from torkctl.references import watched
    from torkctl.refreshing import show

    return show(Session.of(ctx), watched(job, _look), watch=watch, interval=interval)


def _look(api: Api, job_id: str) -> Picture:
    from torkctl.branches import branches
    from torkctl.nesting import sub_jobs
    from torkctl.output import stdout
    from torkctl.output.listing import Picture
    from torkctl.output.tree import tree_lines
    from torkctl.output.tree_document import tree_document, tree_ids
    from torkctl.places import places

    job = api.job(job_id)
    below = sub_jobs(api, job)
    names = places(api)
    document = tree_document(job, branches(job, below))
    return Picture(
        document=document,
        names=list(tree_ids(document)),
        draw=lambda output: tree_lines(
            job,
            color=stdout.uses_color(),
            sub_jobs=below,
            with_ids=output is OutputFormat.WIDE,
            places=names,
        ),
        is_final=not job.state.is_active,
    )
