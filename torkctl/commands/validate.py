"""`torkctl validate`: checks job files without a server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tork.errors import DefinitionError
from torkctl import diagnostics
from torkctl.diagnostics import ExitCode
from torkctl.session import Session
from torkctl.settings import OutputFormat, output_format

if TYPE_CHECKING:
    from tork.job import JobDefinition


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

    return [f"a server of this version refuses a job with '{key}'" for key in unsupported(job)]
