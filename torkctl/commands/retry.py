"""`torkctl retry`: runs again what failed in a job, and keeps what went well."""

from __future__ import annotations

from typing import Annotated

import typer

from torkctl.arguments import Jobs, Timeout, timeout_seconds
from torkctl.errors import UsageProblem
from torkctl.session import Session


def retry(
    ctx: typer.Context,
    jobs: Jobs,
    failed: Annotated[bool, typer.Option("--failed", help="All that failed, or was cancelled before its end.")] = False,
    task: Annotated[
        str, typer.Option("--task", metavar="TASK", help="Only that task, by its id, the beginning of it, or its name.")
    ] = "",
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Wait until the jobs have ended.")] = False,
    timeout: Timeout = None,
) -> int:
    """Run again what failed in jobs, and nothing else.

    Example: torkctl retry @last --failed --wait
    """
    from torkctl.changing import Change, change_jobs
    from torkctl.references import failed_task

    if failed == bool(task):
        raise UsageProblem("say what is to be run again (right would be --failed, or --task TASK)")
    if task and len(jobs) > 1:
        raise UsageProblem("--task names a task of one job (right would be one JOB)")
    return change_jobs(
        Session.of(ctx),
        jobs,
        change=Change(
            ask=lambda api, job_id: api.retry(job_id, task_id=failed_task(api, job_id, task) if task else ""),
            done="goes on",
        ),
        wait=wait or timeout is not None,
        timeout_seconds=timeout_seconds(timeout),
    )
