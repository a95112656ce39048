"""`torkctl list`: jobs, newest first."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from torkctl import completing
from torkctl.arguments import Interval, Watch, count_of
from torkctl.errors import UsageProblem
from torkctl.session import Session

if TYPE_CHECKING:
    from tork.job import JobSummary
    from tork.page import Page
    from torkctl.client import Api
    from torkctl.client.api import JobQuery
    from torkctl.output.listing import Listing

_DEFAULT_LIMIT = 20
_STATE_HELP = "Only jobs that are PENDING, SCHEDULED, RUNNING, CANCELLED, COMPLETED or FAILED. Repeatable."


def list_jobs(
    ctx: typer.Context,
    query: Annotated[
        list[str] | None,
        typer.Argument(metavar="[QUERY]...", help="Words of the name, description or state; tag:NAME."),
    ] = None,
    states: Annotated[
        list[str] | None, typer.Option("--state", metavar="STATE", autocompletion=completing.states, help=_STATE_HELP)
    ] = None,
    tags: Annotated[
        list[str] | None, typer.Option("--tag", metavar="TAG", help="Only jobs with that tag. Repeatable.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", parser=count_of("--limit"), metavar="N", help="How many jobs.")
    ] = _DEFAULT_LIMIT,
    page: Annotated[
        int, typer.Option("--page", parser=count_of("--page"), metavar="N", help="Which page of so many jobs.")
    ] = 1,
    watch: Watch = False,
    interval: Interval = None,
) -> int:
    """List jobs, newest first.

    Example: torkctl list --state FAILED --tag nightly --limit 50
    """
    from torkctl.client.api import JobQuery
    from torkctl.refreshing import show

    wanted = JobQuery(text=" ".join(query or ()), states=_states(states or []), tags=tags or ())
    look = partial(_look, query=wanted, limit=limit, page=page)
    return show(Session.of(ctx), look, watch=watch, interval=interval)


def _look(api: Api, *, query: JobQuery, limit: int, page: int) -> Listing:
    from torkctl.output.jobs import jobs_table
    from torkctl.output.listing import Listing

    found = _collect(api, query, limit=limit, page=page)
    return Listing(
        document=found,
        items=found.items,
        names=[job.id for job in found.items],
        table=lambda output: jobs_table(found.items, output),
        kind=f"jobs on page {page}" if page > 1 else "jobs",
    )


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
