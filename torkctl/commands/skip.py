"""`torkctl skip`: lets a job go on without a task."""

from __future__ import annotations

from typing import Annotated

import typer

from torkctl import diagnostics
from torkctl.arguments import Timeout, timeout_seconds
from torkctl.diagnostics import worst
from torkctl.errors import UsageProblem
from torkctl.session import Session


def skip(
    ctx: typer.Context,
    task: Annotated[str, typer.Argument(metavar="TASK", help="The id of a task; of @last, its beginning will do.")],
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why, for those who look at the job later. Required.")
    ] = "",
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Wait until the job has ended.")] = False,
    timeout: Timeout = None,
) -> int:
    """Let a job go on without one of its tasks.

    Example: torkctl skip 0b7d2c1f --reason 'the mirror is gone' --wait
    """
    from torkctl.changing import Change, wait_for
    from torkctl.endings import SHORT_ID
    from torkctl.output import stdout
    from torkctl.references import find

    if not reason.strip():
        raise UsageProblem("a reason is missing (right would be e.g. --reason 'the mirror is gone')")
    seconds = timeout_seconds(timeout)
    wait = wait or seconds is not None
    session = Session.of(ctx)
    output = session.settings.output
    with session.api(waiting=wait) as api:
        found = find(api, task)
        if found.is_job:
            raise UsageProblem(
                f"{task} is a job (right would be one of its tasks, which torkctl get {task} -o wide shows)"
            )
        job_id = api.task(found.id).job_id
        before = api.job_summary(job_id)
        api.skip(found.id, reason)
        diagnostics.notice(f"job {job_id[:SHORT_ID]} goes on without task {found.id}")
        if not wait:
            stdout.write_done([found.id], output)
            return 0
        change = Change(ask=lambda _api, _job_id: None, done="")
        return worst(wait_for(api, {job_id: before}, change, seconds, output))
