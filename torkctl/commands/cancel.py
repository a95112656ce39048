"""`torkctl cancel`: asks for the end of jobs."""

from __future__ import annotations

from typing import Annotated

import typer

from torkctl.arguments import Jobs, Timeout, timeout_seconds
from torkctl.session import Session


def cancel(
    ctx: typer.Context,
    jobs: Jobs,
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Wait until the jobs have ended.")] = False,
    timeout: Timeout = None,
) -> int:
    """Cancel jobs. Exit 1 when one has ended already.

    Example: torkctl cancel @last --wait
    """
    from torkctl.changing import Change, change_jobs

    return change_jobs(
        Session.of(ctx),
        jobs,
        change=Change(ask=lambda api, job_id: api.cancel(job_id), done="is being cancelled", ends_it=True),
        wait=wait or timeout is not None,
        timeout_seconds=timeout_seconds(timeout),
    )
