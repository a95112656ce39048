"""`torkctl why`: why a job or task is not running, or why it ended as it did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from torkctl import completing
from torkctl.session import Session

if TYPE_CHECKING:
    from datetime import datetime

    from torkctl.client import Api
    from torkctl.reasons import Reason


def why(
    ctx: typer.Context,
    reference: Annotated[
        str,
        typer.Argument(
            metavar="JOB|TASK",
            autocompletion=completing.jobs_and_schedules,
            help="A job, the id of a task, or a schedule.",
        ),
    ],
) -> int:
    """Tell why a job or task does not run, or why it failed.

    With what that rests on. Of a job it is the deepest cause: the task that holds it up or failed, in a sub-job too.

    Example: torkctl why @last
    """
    from datetime import UTC, datetime

    from torkctl.output.reasons import write_reason

    session = Session.of(ctx)
    with session.api() as api:
        reason = _reason(api, reference, datetime.now(UTC))
    write_reason(reason, session.settings.output)
    return 0


def _reason(api: Api, reference: str, now: datetime) -> Reason:
    from tork.errors import NotFound
    from tork.schedule import ScheduledJobSummary
    from torkctl.client.api import read
    from torkctl.errors import TooShort
    from torkctl.reasons import explain, explain_schedule
    from torkctl.reasons.gathering import gather
    from torkctl.references import find, schedule_instead

    try:
        found = find(api, reference)
    except (NotFound, TooShort) as error:
        return explain_schedule(read(schedule_instead(api, reference, error), ScheduledJobSummary), now)
    return explain(gather(api, found, now))
