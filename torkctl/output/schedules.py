"""Scheduled jobs as rows, and one of them in full."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from tork.schedule import ScheduledJobSummary
from torkctl.client.api import read
from torkctl.client.documents import TaskOutline
from torkctl.endings import SHORT_ID
from torkctl.output import stdout
from torkctl.output.jobs import field_lines
from torkctl.output.tables import Table
from torkctl.output.times import age, moment, seconds_text
from torkctl.settings import OutputFormat


class _Schedule(ScheduledJobSummary, frozen=True, kw_only=True):
    """As far as it is shown, so that a newer server's document can be read."""

    zone: str = ""
    overlap: str = ""
    catchup: str = ""
    tasks: list[TaskOutline] = []


def schedules_table(schedules: Sequence[ScheduledJobSummary], output: OutputFormat) -> Table:
    """A row each: on a terminal for a glance, else with all of the id."""
    if output is OutputFormat.TABLE and stdout.is_terminal():
        return _glance(schedules)
    columns = ["id", "name", "state", "cron", "next", "last"]
    rows = [
        [one.id, one.name, one.state.value, one.cron, moment(one.next_at), moment(one.last_at)] for one in schedules
    ]
    if output is OutputFormat.WIDE:
        columns += ["created", "created by", "tags", "error"]
        rows = [[*row, *_wide_cells(one)] for row, one in zip(rows, schedules, strict=True)]
    return Table(columns=columns, rows=rows)


def write_schedule(document: bytes, output: OutputFormat) -> None:
    """Everything a person asks about one of them."""
    one = read(document, _Schedule)
    fields = [
        ("id", one.id),
        ("name", one.name),
        ("description", one.description),
        ("state", one.state.value),
        ("cron", one.cron),
        ("zone", one.zone),
        ("overlap", one.overlap),
        ("catchup", one.catchup),
        ("next", moment(one.next_at)),
        ("last", moment(one.last_at)),
        ("error", one.error),
        ("created", moment(one.created_at)),
        ("created by", _creator(one)),
        ("tags", ", ".join(one.tags)),
        ("inputs", ", ".join(f"{name}={value}" for name, value in one.inputs.items())),
        ("tasks", ", ".join(task.name or "(no name)" for task in one.tasks)),
    ]
    stdout.write_one(document, one.id, lambda: field_lines(fields), output)


def _glance(schedules: Sequence[ScheduledJobSummary]) -> Table:
    now = datetime.now(UTC)
    rows = [
        (one.id[:SHORT_ID], one.name, one.state.value, one.cron, _until(one.next_at, now), age(one.last_at, now))
        for one in schedules
    ]
    columns = ("id", "name", "state", "cron", "next in", "last")
    return Table(columns=columns, rows=rows, shortened="name", dropped=("last", "next in"))


def _until(at: datetime | None, now: datetime) -> str:
    return seconds_text(max(0.0, (at - now).total_seconds())) if at else ""


def _wide_cells(one: ScheduledJobSummary) -> list[str]:
    return [moment(one.created_at), _creator(one), ", ".join(one.tags), one.error]


def _creator(one: ScheduledJobSummary) -> str:
    return one.created_by.username if one.created_by else ""
