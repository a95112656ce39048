"""Jobs and tasks as rows, and one of them in full."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from tork.job import JobSummary
from torkctl.client.documents import JobReport, Submitted, TaskReport
from torkctl.endings import SHORT_ID
from torkctl.output import stdout
from torkctl.output.tables import Table, cell, write_table
from torkctl.output.times import age, moment, span
from torkctl.output.tree import tree_lines
from torkctl.settings import OutputFormat


def write_submitted(submitted: Sequence[Submitted], output: OutputFormat) -> None:
    """The answer to a submission: the id, the name and the state."""
    if output is OutputFormat.NAME:
        stdout.write_lines(job.id for job in submitted)
    else:
        rows = [(job.id, job.name, job.state) for job in submitted]
        write_table(Table(columns=("id", "name", "state"), rows=rows, shortened="name"))


def write_jobs(jobs: Sequence[JobSummary], output: OutputFormat) -> None:
    """Jobs, a row each."""
    if output is OutputFormat.NAME:
        stdout.write_lines(job.id for job in jobs)
    else:
        write_table(jobs_table(jobs, output))


def jobs_table(jobs: Sequence[JobSummary], output: OutputFormat) -> Table:
    """Jobs, a row each: on a terminal for a glance, else with all of the id."""
    if output is OutputFormat.TABLE and stdout.is_terminal():
        return _glance(jobs)
    columns = ["id", "name", "state", "progress", "created", "duration"]
    rows = [_row(job) for job in jobs]
    if output is OutputFormat.WIDE:
        columns += ["tags", "created by", "parent", "error"]
        rows = [row + _wide_cells(job) for row, job in zip(rows, jobs, strict=True)]
    return Table(columns=columns, rows=rows)


def _glance(jobs: Sequence[JobSummary]) -> Table:
    """A line a job for a person's eyes; the short id is enough for every command."""
    now = datetime.now(UTC)
    rows = [
        (job.id[:SHORT_ID], job.name, job.state.value, _progress(job), age(job.created_at, now), _duration(job))
        for job in jobs
    ]
    columns = ("id", "name", "state", "progress", "age", "duration")
    return Table(columns=columns, rows=rows, shortened="name", dropped=("duration", "progress", "age"))


def ended_at(thing: JobSummary | TaskReport) -> datetime | None:
    """When it ended, however it did."""
    return thing.completed_at or thing.failed_at


def write_job(job: JobReport, sub_jobs: Mapping[str, JobReport], output: OutputFormat) -> None:
    """Everything a person asks about one job, and its tree, wide with the ids of tasks."""
    fields = [
        ("id", job.id),
        ("name", job.name),
        ("description", job.description),
        ("state", job.state.value),
        ("progress", _progress(job)),
        ("tags", ", ".join(job.tags)),
        ("parent", job.parent_id),
        ("created", moment(job.created_at)),
        ("started", moment(job.started_at)),
        ("ended", moment(ended_at(job))),
        ("duration", _duration(job)),
        ("inputs", ", ".join(f"{name}={value}" for name, value in job.inputs.items())),
        ("result", job.result),
        ("error", job.error),
    ]
    tree = tree_lines(job, color=stdout.uses_color(), sub_jobs=sub_jobs, with_ids=output is OutputFormat.WIDE)
    stdout.write_lines([*field_lines(fields), "", *tree])


def write_task(task: TaskReport) -> None:
    """Everything a person asks about one task."""
    attempts = f"{task.retry.attempts} of {task.retry.limit} retries" if task.retry else ""
    fields = [
        ("id", task.id),
        ("name", task.name),
        ("state", task.state.value if task.state else ""),
        ("job", task.job_id),
        ("parent", task.parent_id),
        ("queue", task.queue),
        ("image", task.image),
        ("node", task.node_id),
        ("attempts", attempts),
        ("created", moment(task.created_at)),
        ("scheduled", moment(task.scheduled_at)),
        ("started", moment(task.started_at)),
        ("ended", moment(ended_at(task))),
        ("duration", span(task.started_at, ended_at(task))),
        ("result", task.result),
        ("error", task.error),
    ]
    stdout.write_lines(field_lines(fields))


def field_lines(fields: Sequence[tuple[str, str]]) -> list[str]:
    """Named texts, a line each; those that say nothing are left out."""
    shown = [(name, cell(text)) for name, text in fields if text and text != "-"]
    width = max(len(name) for name, _ in shown)
    return [f"{name.ljust(width)}   {text}" for name, text in shown]


def _row(job: JobSummary) -> list[str]:
    return [job.id, job.name, job.state.value, _progress(job), moment(job.created_at), _duration(job)]


def _wide_cells(job: JobSummary) -> list[str]:
    creator = job.created_by.username if job.created_by else ""
    return [", ".join(job.tags), creator, job.parent_id, job.error]


def _progress(job: JobSummary) -> str:
    done = job.task_count if job.state.value == "COMPLETED" else max(0, job.position - 1)
    return f"{min(done, job.task_count)}/{job.task_count}" if job.task_count else ""


def _duration(job: JobSummary) -> str:
    end = datetime.now(UTC) if job.state.is_active else ended_at(job)
    return span(job.started_at, end)
