"""`torkctl health`: whether the server can work; the exit code says it."""

from __future__ import annotations

import typer

from torkctl.diagnostics import ExitCode
from torkctl.session import Session
from torkctl.settings import OutputFormat


def health(ctx: typer.Context) -> int:
    """Ask whether the server can work.

    Exit 0 when it is UP, 1 when DOWN, 5 when it can't be reached.

    Example: torkctl health --retry-for 30s
    """
    from torkctl.output import stdout
    from torkctl.output.tables import Table, write_table

    session = Session.of(ctx)
    output = session.settings.output
    with session.api() as api:
        report = api.health()
    if output in {OutputFormat.JSON, OutputFormat.JSONL, OutputFormat.YAML}:
        stdout.write_document(report, output)
    elif output is OutputFormat.NAME:
        stdout.write_lines([report.status])
    else:
        rows = [(report.status, report.version, session.settings.endpoint)]
        write_table(Table(columns=("status", "version", "endpoint"), rows=rows))
        parts = [(name, part.status, part.error) for name, part in report.indicators.items()]
        if parts:
            stdout.write_lines([""])
            write_table(Table(columns=("indicator", "status", "error"), rows=parts))
    return ExitCode.DONE if report.is_up else ExitCode.FAILED
