"""`torkctl wait`: blocks until jobs have ended, and says how."""

from __future__ import annotations

from typing import Annotated

import typer

from torkctl.arguments import Ci, Jobs, JUnit, Timeout, timeout_seconds
from torkctl.session import Session


def wait(
    ctx: typer.Context,
    jobs: Jobs,
    timeout: Timeout = None,
    any_one: Annotated[bool, typer.Option("--any", help="Stop waiting when one of the jobs has ended.")] = False,
    junit: JUnit = None,
    ci: Ci = "auto",
) -> int:
    """Wait until all jobs have ended.

    Example: torkctl wait @last --timeout 10m
    """
    from torkctl.output.outcomes import write_outcomes
    from torkctl.pipeline.reporting import reporter_for
    from torkctl.references import resolve_jobs
    from torkctl.waiting import Wait, code_for, interrupted

    session = Session.of(ctx)
    seconds = timeout_seconds(timeout)
    reporter = reporter_for(ci, junit)
    with session.api(waiting=True) as api:
        with reporter.before_the_wait(jobs):
            job_ids = resolve_jobs(api, jobs)
        reporter.begin(job_ids)
        waiting = Wait(api=api, job_ids=job_ids, timeout_seconds=seconds, any_one=any_one)
        try:
            outcomes = waiting.run()
        except KeyboardInterrupt:
            code = interrupted(api, job_ids, cancel=False)
            reporter.end(api, waiting.outcomes_when_interrupted())
            return code
        reporter.end(api, outcomes)
        write_outcomes(api, outcomes, session.settings.output)
        return code_for(outcomes)
