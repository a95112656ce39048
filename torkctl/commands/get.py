"""`torkctl get`: everything about one job or task."""

from __future__ import annotations

from typing import Annotated

import typer

from tork.errors import NotFound
from torkctl import completing
from torkctl.errors import TooShort
from torkctl.session import Session
from torkctl.settings import OutputFormat


def get(
    ctx: typer.Context,
    reference: Annotated[
        str,
        typer.Argument(
            metavar="JOB|TASK",
            autocompletion=completing.jobs_and_schedules,
            help="A job, the id of a task, or a scheduled job.",
        ),
    ],
) -> int:
    """Show everything about a job, a task or a schedule.

    Example: torkctl get @last -o wide
    """
    import msgspec

    from torkctl.client.documents import JobReport, TaskReport
    from torkctl.nesting import sub_jobs
    from torkctl.output import stdout
    from torkctl.output.jobs import write_job, write_task
    from torkctl.output.schedules import write_schedule
    from torkctl.references import find, schedule_instead

    session = Session.of(ctx)
    output = session.settings.output
    with session.api() as api:
        try:
            found = find(api, reference)
        except (NotFound, TooShort) as error:
            write_schedule(schedule_instead(api, reference, error), output)
            return 0
        document = api.job_document(found.id) if found.is_job else api.task_document(found.id)
        if output in {OutputFormat.JSON, OutputFormat.JSONL, OutputFormat.YAML}:
            stdout.write_document(document, output)
        elif output is OutputFormat.NAME:
            stdout.write_lines([found.id])
        elif found.is_job:
            job = msgspec.json.decode(document, type=JobReport)
            write_job(job, sub_jobs(api, job), output)
        else:
            write_task(msgspec.json.decode(document, type=TaskReport))
    return 0
