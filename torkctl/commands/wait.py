"""`torkctl wait`: blocks until jobs have ended, and says how."""

from __future__ import annotations

from typing import Annotated

import typer

from torkctl.arguments import Jobs, Timeout, timeout_seconds
from torkctl.session import Session


def wait(
    ctx: typer.Context,
    jobs: Jobs,
    timeout: Timeout = None,
    any_one: Annotated[bool, typer.Option("--any", help="Stop waiting when one of the jobs has ended.")] = False,
) -> int:
    """Wait until all jobs have ended.

    Example: torkctl wait @last --timeout 10m
    """
    from torkctl.output.outcomes import write_outcomes
    from torkctl.references import resolve_jobs
    from torkctl.waiting import Wait, code_for, interrupted

    session = Session.of(ctx)
    seconds = timeout_seconds(timeout)
    with session.api(waiting=True) as api:
        job_ids = resolve_jobs(api, jobs)
        try:
            outcomes = Wait(api=api, job_ids=job_ids, timeout_seconds=seconds, any_one=any_one).run()
        except KeyboardInterrupt:
            return interrupted(api, job_ids, cancel=False)
        write_outcomes(api, outcomes, session.settings.output)
        return code_for(outcomes)
