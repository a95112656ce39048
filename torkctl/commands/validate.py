"""`torkctl validate`: checks job files without a server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tork.errors import DefinitionError
from torkctl import diagnostics
from torkctl.diagnostics import ExitCode
from torkctl.session import Session
from torkctl.settings import OutputFormat, output_format

if TYPE_CHECKING:
    from tork.job import JobDefinition
    from tork.task import TaskDefinition


def validate(
    ctx: typer.Context,
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Job files, or - for stdin.")],
) -> int:
    """Check job files without a server.

    Every mistake is a line file:line:col: message on stderr. Exit 2 when there is any.
    """
    from torkctl.output import stdout
    from torkctl.submission import read_definition

    output = output_format(Session.of(ctx).flags.output)
    reports: list[dict[str, Any]] = []
    for path in files:
        problems: list[str] = []
        notes: list[str] = []
        try:
            definition, _ = read_definition(path)
            notes = _notes(definition)
        except DefinitionError as error:
            problems = error.problems
        reports.append({"file": path, "valid": not problems, "problems": problems, "notes": notes})
        for problem in problems:
            diagnostics.problem(problem)
        if not problems:
            diagnostics.notice(f"{path}: valid")
        for note in notes:
            diagnostics.warning(f"{path}: {note}")
    if output is OutputFormat.JSONL:
        for report in reports:
            stdout.write_document(report, output)
    elif output in {OutputFormat.JSON, OutputFormat.YAML}:
        stdout.write_document(reports, output)
    elif output is OutputFormat.NAME:
        stdout.write_lines(report["file"] for report in reports if report["valid"])
    return ExitCode.DONE if all(report["valid"] for report in reports) else ExitCode.USAGE


def _notes(job: JobDefinition) -> list[str]:
    """What is right in a job file, and beyond this version."""
    from tork.definition import unsupported

    notes = [f"a server of this version refuses a job with '{key}'" for key in unsupported(job)]
    with_image = _with_image(job.tasks)
    if with_image:
        names = ", ".join(dict.fromkeys(f"'{name}'" if name else "one without a name" for name in with_image))
        notes.append(f"this version can't run containers yet, and tasks have an 'image': {names}")
    return notes


def _with_image(tasks: Sequence[TaskDefinition]) -> list[str]:
    """The names of the tasks that need a container, at any depth."""
    names: list[str] = []
    for task in tasks:
        if task.image or any(step.image for step in (*task.pre, *task.post, *task.sidecars)):
            names.append(task.name)
        names += _with_image(task.parallel.tasks if task.parallel else [])
        names += _with_image([task.each.task] if task.each and task.each.task else [])
        names += _with_image(task.subjob.tasks if task.subjob else [])
    return names
