"""`torkctl validate`: checks job files without a server."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tork.errors import DefinitionError
from torkctl import diagnostics
from torkctl.diagnostics import ExitCode
from torkctl.session import Session
from torkctl.settings import OutputFormat, output_format


def validate(
    ctx: typer.Context,
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Job files, or - for stdin.")],
) -> int:
    """Check job files without a server.

    Every mistake is a line file:line:col: message on stderr. Exit 2 when there is any.

    Example: torkctl validate jobs/*.yaml
    """
    from torkctl.output import stdout
    from torkctl.submission import read_definition

    output = output_format(Session.of(ctx).flags.output)
    reports: list[dict[str, Any]] = []
    for path in files:
        problems: list[str] = []
        try:
            read_definition(path)
        except DefinitionError as error:
            problems = error.problems
        reports.append({"file": path, "valid": not problems, "problems": problems})
        for problem in problems:
            diagnostics.problem(problem)
        if not problems:
            diagnostics.notice(f"{path}: valid")
    if output is OutputFormat.JSONL:
        for report in reports:
            stdout.write_document(report, output)
    elif output in {OutputFormat.JSON, OutputFormat.YAML}:
        stdout.write_document(reports, output)
    elif output is OutputFormat.NAME:
        stdout.write_lines(report["file"] for report in reports if report["valid"])
    return ExitCode.DONE if all(report["valid"] for report in reports) else ExitCode.USAGE
