"""`torkctl doctor`: whether the server's invariants hold, a line a check; the exit code says it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from torkctl import diagnostics
from torkctl.diagnostics import ExitCode
from torkctl.session import Session
from torkctl.settings import OutputFormat

if TYPE_CHECKING:
    from tork.diagnosis import Check, Diagnosis, Treatment


def doctor(
    ctx: typer.Context,
    fix: Annotated[bool, typer.Option("--fix", help="Repair what can be repaired.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what --fix would do.")] = False,
) -> int:
    """Check the server's database and broker.

    Exit 0 when all is well, 1 when something was found (with --fix: when something is left).

    Example: torkctl doctor --fix --dry-run
    """
    from torkctl.output import stdout

    session = Session.of(ctx)
    output = session.settings.output
    with session.api() as api:
        treatment = api.treat(dry_run=dry_run) if fix or dry_run else None
        diagnosis = treatment.after if treatment is not None else api.diagnosis()
    if output in {OutputFormat.JSON, OutputFormat.JSONL, OutputFormat.YAML}:
        stdout.write_document(treatment or diagnosis, output)
    elif output is OutputFormat.NAME:
        stdout.write_lines([check.name for check in diagnosis.checks if not check.ok])
    else:
        if treatment is not None:
            _tell_repairs(treatment)
        _write_checks(diagnosis)
    return ExitCode.DONE if diagnosis.ok else ExitCode.FAILED


def _tell_repairs(treatment: Treatment) -> None:
    verb = "would repair" if treatment.dry_run else "repaired"
    for repair in treatment.repairs:
        things = f" ({', '.join(repair.ids)})" if repair.ids else ""
        diagnostics.notice(f"{verb} {repair.name}: {repair.action}{things}")
    if not treatment.repairs:
        diagnostics.notice("nothing to repair")


def _write_checks(diagnosis: Diagnosis) -> None:
    from torkctl.output.tables import Table, write_table

    rows = [("OK" if check.ok else "WRONG", check.name, _sentence(check)) for check in diagnosis.checks]
    write_table(Table(columns=("state", "check", "message"), rows=rows))


def _sentence(check: Check) -> str:
    return f"{check.message} (right would be: {check.advice})" if check.advice else check.message
