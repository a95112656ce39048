"""`torkctl schedules`: jobs that start again and again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from torkctl import completing
from torkctl.arguments import Interval, Watch, Yes, count_of
from torkctl.nouns import noun
from torkctl.session import Session
from torkctl.settings import OutputFormat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torkctl.client import Api
    from torkctl.output.listing import Listing

_HELP = "An id, a unique beginning of one of at least 6 characters, or a name."
Schedule = Annotated[str, typer.Argument(metavar="SCHEDULE", autocompletion=completing.schedules, help=_HELP)]
Schedules = Annotated[list[str], typer.Argument(metavar="SCHEDULE...", autocompletion=completing.schedules, help=_HELP)]
_COUNT = 5


def app() -> typer.Typer:
    """The verbs of schedules."""
    verbs: dict[str, Callable[..., int]] = {
        "list": list_schedules,
        "get": get,
        "next": coming,
        "run": run,
        "pause": pause,
        "resume": resume,
        "delete": delete,
    }
    return noun("schedules", "Jobs that start again and again.", verbs)


def list_schedules(ctx: typer.Context, watch: Watch = False, interval: Interval = None) -> int:
    """List scheduled jobs, newest first.

    Example: torkctl schedules list -o wide
    """
    from torkctl.refreshing import show

    return show(Session.of(ctx), _look, watch=watch, interval=interval)


def get(ctx: typer.Context, schedule: Schedule) -> int:
    """Show everything about a scheduled job.

    Example: torkctl schedules get nightly -o yaml
    """
    from torkctl.client.resources import of_schedule, resolve_schedule
    from torkctl.output.schedules import write_schedule

    session = Session.of(ctx)
    with session.api() as api:
        document = of_schedule(api, "GET", resolve_schedule(api, schedule))
    write_schedule(document, session.settings.output)
    return 0


def coming(
    ctx: typer.Context,
    schedule: Schedule,
    count: Annotated[
        int, typer.Option("--count", parser=count_of("--count"), metavar="N", help="How many times, up to 100.")
    ] = _COUNT,
) -> int:
    """Show when a scheduled job starts next.

    Or would, if it is paused.

    Example: torkctl schedules next nightly --count 10
    """
    import msgspec

    from tork.schedule import FireTimesAnswer
    from torkctl.client.api import read
    from torkctl.client.resources import of_schedule, resolve_schedule
    from torkctl.output.listing import Listing, write_listing
    from torkctl.output.tables import Table
    from torkctl.output.times import moment, seconds_text

    session = Session.of(ctx)
    with session.api() as api:
        schedule_id = resolve_schedule(api, schedule)
        document = of_schedule(api, "GET", schedule_id, "next", query={"count": count})
    told, now = read(document, FireTimesAnswer), datetime.now(UTC)
    rows = [(moment(at), f"in {seconds_text(max(0.0, (at - now).total_seconds()))}") for at in told.times]
    listing = Listing(
        document=msgspec.Raw(document),
        items=told.times,
        names=[at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for at in told.times],
        table=lambda _output: Table(columns=("starts", "when"), rows=rows),
        kind="times at which it starts",
    )
    write_listing(listing, session.settings.output)
    return 0


def run(ctx: typer.Context, schedule: Schedule) -> int:
    """Start its job now, and print the job's id.

    Example: torkctl schedules run nightly && torkctl wait @last
    """
    import msgspec

    from torkctl.client.api import read
    from torkctl.client.documents import Submitted
    from torkctl.client.resources import of_schedule, resolve_schedule
    from torkctl.output import stdout
    from torkctl.output.jobs import write_submitted
    from torkctl.references import remember_last

    session = Session.of(ctx)
    output = session.settings.output
    with session.api() as api:
        schedule_id = resolve_schedule(api, schedule)
        document = of_schedule(api, "PUT", schedule_id, "run", once=True)
    job = read(document, Submitted)
    remember_last(job.id)
    if output in {OutputFormat.JSON, OutputFormat.JSONL, OutputFormat.YAML}:
        stdout.write_document(msgspec.Raw(document), output)
    else:
        write_submitted([job], output)
    return 0


def pause(ctx: typer.Context, schedules: Schedules) -> int:
    """Let scheduled jobs start no more for now.

    Example: torkctl schedules pause nightly
    """
    return _change(ctx, schedules, "pause", "is paused")


def resume(ctx: typer.Context, schedules: Schedules) -> int:
    """Let scheduled jobs start again.

    Example: torkctl schedules resume nightly
    """
    return _change(ctx, schedules, "resume", "is active again")


def delete(ctx: typer.Context, schedules: Schedules, yes: Yes = False) -> int:
    """Delete scheduled jobs, and the jobs they started.

    Those that run are cancelled.

    Example: torkctl schedules delete nightly --yes
    """
    from tork.schedule import ScheduledJobSummary
    from torkctl.client.api import read
    from torkctl.client.resources import of_schedule
    from torkctl.confirming import confirm
    from torkctl.one_by_one import do_each

    session = Session.of(ctx)
    with session.api() as api:
        known = [read(of_schedule(api, "GET", known_id), ScheduledJobSummary) for known_id in _resolved(api, schedules)]
        named = ", ".join(f"'{one.name}' ({one.id})" if one.name else one.id for one in known)
        confirm(f"delete schedule {named} with all jobs that it started", yes=yes)
        return do_each(
            [one.id for one in known],
            lambda schedule_id: of_schedule(api, "DELETE", schedule_id),
            "schedule {} was deleted",
            session.settings.output,
        )


def _change(ctx: typer.Context, schedules: Sequence[str], verb: str, done: str) -> int:
    from torkctl.client.resources import of_schedule
    from torkctl.one_by_one import do_each

    session = Session.of(ctx)
    with session.api() as api:
        return do_each(
            _resolved(api, schedules),
            lambda schedule_id: of_schedule(api, "PUT", schedule_id, verb, is_settled=True),
            f"schedule {{}} {done}",
            session.settings.output,
        )


def _resolved(api: Api, schedules: Sequence[str]) -> list[str]:
    """Their ids, each once. All are known before anything is done to one."""
    from torkctl.client.resources import resolve_schedule

    return list(dict.fromkeys(resolve_schedule(api, schedule) for schedule in schedules))


def _look(api: Api) -> Listing:
    from tork.schedule import ScheduledJobSummary
    from torkctl.client.api import read
    from torkctl.client.resources import pages
    from torkctl.output.listing import Listing
    from torkctl.output.schedules import schedules_table

    page = pages(api, "scheduled-jobs")
    schedules = [read(item, ScheduledJobSummary) for item in page.items]
    return Listing(
        document=page,
        items=page.items,
        names=[schedule.id for schedule in schedules],
        table=lambda output: schedules_table(schedules, output),
        kind="schedules",
    )
