"""Why something is as it is: one sentence, and below it what it rests on."""

from __future__ import annotations

from torkctl.endings import SHORT_ID
from torkctl.error_line import error_line
from torkctl.output import stdout
from torkctl.output.tables import cell
from torkctl.reasons import Evidence, Reason, Subject
from torkctl.settings import OutputFormat

_LONGEST_NAME = 100


def write_reason(reason: Reason, output: OutputFormat) -> None:
    """Write the answer: as text, as the id it is about, or as a document."""
    if output in {OutputFormat.JSON, OutputFormat.JSONL, OutputFormat.YAML}:
        stdout.write_document(reason, output)
    elif output is OutputFormat.NAME:
        stdout.write_lines([reason.subject.id])
    else:
        stdout.write_lines(reason_lines(reason))


def reason_lines(reason: Reason) -> list[str]:
    """The sentence, and a line or more for each piece of evidence."""
    sentence = f"{_named(reason.subject)} {reason.state}: {reason.because}"
    return [cell(sentence), *(line for evidence in reason.evidence for line in _lines(evidence))]


def _named(subject: Subject) -> str:
    name = f" ({error_line(subject.name, _LONGEST_NAME)})" if subject.name else ""
    return f"{subject.kind} {subject.id[:SHORT_ID]}{name}"


def _lines(evidence: Evidence) -> list[str]:
    first, *more = evidence.says.splitlines() or [""]
    if not more:
        return [f"  {cell(evidence.about)}: {cell(first)}"]
    return [f"  {cell(evidence.about)}:", *(f"    {cell(line)}" for line in (first, *more))]
