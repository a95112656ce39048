"""`torkctl schema`: the JSON Schema of job files, for editors."""

from __future__ import annotations

import typer

from torkctl.session import Session
from torkctl.settings import OutputFormat, output_format


def schema(ctx: typer.Context) -> int:
    """Print the JSON Schema of job files.

    Example: torkctl schema > job.schema.json
    """
    from tork.definition import job_schema
    from torkctl.output import stdout

    output = output_format(Session.of(ctx).flags.output)
    shown = output if output in {OutputFormat.YAML, OutputFormat.JSONL} else OutputFormat.JSON
    stdout.write_document(job_schema(), shown)
    return 0
