"""`torkctl restart`: lets failed and cancelled jobs go on where they stopped."""

from __future__ import annotations

from typing import Annotated

import typer

from torkctl.arguments import Jobs, Timeout, timeout_seconds
from torkctl.session import Session


def restart(
    ctx: typer.Context,
    jobs: Jobs,
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Wait until the jobs have ended.")] = False,
    timeout: Timeout = None,
) -> int:
    """Restart failed or cancelled jobs where they stopped.

    Example: torkctl restart @last --wait
    """
    from torkctl.changing import Change, change_jobs

    return change_jobs(
        Session.of(ctx),
        jobs,
        change=Change(ask=lambda api, job_id: api.restart(job_id), done="goes on"),
        wait=wait or timeout is not None,
        timeout_seconds=timeout_seconds(timeout),
    )
