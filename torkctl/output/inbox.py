"""What a watch over a folder tells: a line an event, or a document a line."""

from __future__ import annotations

from typing import Any

from torkctl.endings import ending_text
from torkctl.inbox.happenings import Happening, Kind
from torkctl.inbox.names import shown
from torkctl.output import stdout
from torkctl.settings import OutputFormat

_WIDTH = max(len(kind) for kind in Kind)


def write_happening(happening: Happening, output: OutputFormat) -> None:
    """Write one event."""
    if output is OutputFormat.JSONL:
        stdout.write_document(_document(happening), output)
    elif output is not OutputFormat.NAME:
        stdout.write_lines([f"{happening.kind.value.ljust(_WIDTH)}  {_text(happening)}"])
    elif happening.kind in {Kind.SUBMITTED, Kind.SCHEDULED}:
        stdout.write_lines([happening.id])


def _document(happening: Happening) -> dict[str, Any]:
    document: dict[str, Any] = {"event": happening.kind.value}
    if happening.file:
        document["file"] = shown(happening.file)
    if happening.id:
        document["scheduleId" if happening.is_schedule else "jobId"] = happening.id
    for field in ("name", "message", "problems"):
        if value := getattr(happening, field):
            document[field] = value
    if happening.job is not None:
        document["data"] = happening.job
    return document


def _text(happening: Happening) -> str:
    file = shown(happening.file)
    what = "schedule" if happening.is_schedule else "job"
    match happening.kind:
        case Kind.SUBMITTED | Kind.SCHEDULED:
            return f"{file}: {what} {happening.id}" + (f" ({_line(happening.name)})" if happening.name else "")
        case Kind.DUPLICATE:
            which = f"{what} {happening.id}" if happening.id else f"a {what} that was removed since"
            return f"{file}: has the content of {which}, and was not submitted again"
        case Kind.INVALID | Kind.UNREADABLE:
            more = len(happening.problems) - 1
            return _line(happening.problems[0]) + (f" (and {more} more, in {file}.error)" if more else "")
        case Kind.ENDED if happening.job is not None:
            return f"{file}: {ending_text(happening.job)}"
    return _line(happening.message) + (f" (with {file})" if file else "")


def _line(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)
