"""`torkctl list`: jobs, newest first."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from torkctl import diagnostics
from torkctl.errors import UsageProblem
from torkctl.session import Session
from torkctl.settings import OutputFormat

if TYPE_CHECKING:
    from tork.job import JobSummary
    from tork.page import Page
    from torkctl.client import Api
    from torkctl.client.api import JobQuery

_DEFAULT_LIMIT = 20
_STATE_HELP = "Only jobs that are PENDING, SCHEDULED, RUNNING, CANCELLED, COMPLETED or FAILED. Repeatable."


def _count(option: str) -> Callable[[object], int]:
    """Reads the value of an option that counts from 1."""

    def read(given: object) -> int:
        text = str(given)
        if not (text.isascii() and text.isdigit()) or int(text) < 1:
            raise UsageProblem(f"{option}: '{text}' is not a number from 1 on (right would be e.g. {_DEFAULT_LIMIT})")
        return int(text)

    return read


def list_jobs(
    ctx: typer.Context,
    query: Annotated[
        list[str] | None,
        typer.Argument(metavar="[QUERY]...", help="Words of the name, description or state; tag:NAME."),
    ] = None,
    states: Annotated[list[str] | None, typer.Option("--state", metavar="STATE", help=_STATE_HELP)] = None,
    tags: Annotated[
        list[str] | None, typer.Option("--tag", metavar="TAG", help="Only jobs with that tag. Repeatable.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", parser=_count("--limit"), metavar="N", help="How many jobs.")
    ] = _DEFAULT_LIMIT,
    page: Annotated[
        int, typer.Option("--page", parser=_count("--page"), metavar="N", help="Which page of so many jobs.")
    ] = 1,
) -> int:
    """List jobs, newest first."""
    from torkctl.client.api import JobQuery
    from torkctl.output import stdout
    from torkctl.output.jobs import write_jobs

    session = Session.of(ctx)
    output = session.settings.output
    wanted = JobQuery(text=" ".join(query or ()), states=_states(states or []), tags=tags or ())
    with session.api() as api:
        found = _collect(api, wanted, limit=limit, page=page)
    if output in {OutputFormat.JSON, OutputFormat.YAML}:
        stdout.write_document(found, output)
    elif output is OutputFormat.JSONL:
        for job in found.items:
            stdout.write_document(job, output)
    elif not found.items and output is not OutputFormat.NAME:
        diagnostics.notice(f"no jobs on page {page}" if page > 1 else "no jobs")
    else:
        write_jobs(found.items, output)
    return 0


def _states(given: list[str]) -> list[str]:
    from tork.job import JobState

    states = [state.strip().upper() for text in given for state in text.split(",") if state.strip()]
    for state in states:
        if state not in JobState.__members__:
            right = ", ".join(JobState)
            raise UsageProblem(f"--state: '{state}' is not a state of a job (right would be {right})")
    return states


def _collect(api: Api, query: JobQuery, *, limit: int, page: int) -> Page[JobSummary]:
    """The server's pages are small; ours is put together from as many as it takes."""
    from tork.page import Page
    from torkctl.client.api import LARGEST_JOB_PAGE

    size = min(limit, LARGEST_JOB_PAGE)
    number, skipped = divmod((page - 1) * limit, size)
    jobs: list[JobSummary] = []
    while True:
        number += 1
        got = api.jobs(query, page=number, size=size)
        jobs += got.items
        if len(jobs) >= skipped + limit or number >= got.total_pages or not got.items:
            break
    shown = jobs[skipped : skipped + limit]
    return Page(
        items=shown,
        number=page,
        size=len(shown),
        total_pages=-(-got.total_items // limit),
        total_items=got.total_items,
        total_is_lower_bound=got.total_is_lower_bound,
    )
