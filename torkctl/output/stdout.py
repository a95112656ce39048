"""The one place that writes to stdout.

Invariants: colour and terminal control appear only when stdout is a terminal; with `-o json` nothing but one document;
a runner that reads along is given no commands by what jobs have printed.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torkctl import workflow_commands
from torkctl.diagnostics import shows_color
from torkctl.settings import OutputFormat


@dataclass(kw_only=True)
class _Manner:
    no_color: bool = False
    guarded: bool = False


_manner = _Manner()


def configure(*, no_color: bool) -> None:
    """Say whether colour is wanted where it can be shown. Whether a runner reads along is asked here too."""
    _manner.no_color = no_color
    _manner.guarded = workflow_commands.is_obeyed() and not is_file()


@contextmanager
def unguarded() -> Iterator[None]:
    """The runner has been told to obey nothing: text is written as it is."""
    before = _manner.guarded
    _manner.guarded = False
    try:
        yield
    finally:
        _manner.guarded = before


def is_terminal() -> bool:
    """Whether a person looks at stdout."""
    return sys.stdout.isatty()


def is_file() -> bool:
    """Whether stdout is a file, which nobody obeys and everybody wants to have as it is."""
    try:
        return stat.S_ISREG(os.fstat(sys.stdout.fileno()).st_mode)
    except (OSError, ValueError):
        return False


def width() -> int | None:
    """How many columns stdout has to fit into; nothing when it is no terminal."""
    import shutil

    return shutil.get_terminal_size().columns if is_terminal() else None


def uses_color() -> bool:
    """Whether stdout shows colour."""
    return not _manner.no_color and shows_color(is_terminal())


def write(text: str) -> None:
    """Write and flush, so that a pipe sees each line when it happens. A text begins where a line does."""
    write_as_it_is(workflow_commands.defused(text) if _manner.guarded else text)


def write_as_it_is(text: str) -> None:
    """Write what a runner may obey, and flush."""
    sys.stdout.write(text)
    sys.stdout.flush()


def write_lines(lines: Iterable[str]) -> None:
    """Write each line with its end."""
    write("".join(f"{line}\n" for line in lines))


def abandon() -> None:
    """Nobody reads stdout any more: what is still buffered goes nowhere instead of failing at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, sys.stdout.fileno())
    except (OSError, ValueError):
        return  # stdout is no file, so nothing is flushed to one at exit
    finally:
        os.close(nowhere)


def document_text(value: Any, output: OutputFormat) -> str:
    """One document as text. `value` is JSON bytes as the server sent them, or a value to encode."""
    import msgspec  # half of what a command without documents needs to start

    encoded = value if isinstance(value, bytes) else msgspec.json.encode(value)
    if output is OutputFormat.YAML:
        from torkctl.output.yaml_text import yaml_text

        return yaml_text(msgspec.json.decode(encoded))
    text = msgspec.json.format(encoded, indent=-1 if output is OutputFormat.JSONL else 2).decode() + "\n"
    return workflow_commands.defused_json(text) if _manner.guarded else text


def write_document(value: Any, output: OutputFormat) -> None:
    """Write one document: readable as JSON or YAML, on a single line as JSONL."""
    write(document_text(value, output))


def joined_documents(documents: Iterable[bytes]) -> bytes:
    """Documents as one JSON array."""
    return b"[" + b",".join(documents) + b"]"


def write_documents(documents: list[bytes], output: OutputFormat) -> None:
    """Write what several arguments asked for: one alone as itself, several as a list, or each on its line."""
    if output is OutputFormat.JSONL:
        for document in documents:
            write_document(document, output)
    else:
        write_document(documents[0] if len(documents) == 1 else joined_documents(documents), output)


def write_done(names: Sequence[str], output: OutputFormat, *, field: str = "id") -> None:
    """Write what something was done to: names, or documents that say so; for people that is a notice on stderr."""
    if output is OutputFormat.NAME:
        write_lines(names)
    elif output in {OutputFormat.JSON, OutputFormat.JSONL, OutputFormat.YAML} and names:
        write_documents([json_of({field: name, "status": "OK"}) for name in names], output)


def write_one(document: bytes, name: str, lines: Callable[[], Sequence[str]], output: OutputFormat) -> None:
    """Write one thing: the API's document, its name, or lines for people."""
    if output in {OutputFormat.JSON, OutputFormat.JSONL, OutputFormat.YAML}:
        write_document(document, output)
    elif output is OutputFormat.NAME:
        write_lines([name])
    else:
        write_lines(lines())


def json_of(value: Any) -> bytes:
    """The value as JSON."""
    import msgspec

    return msgspec.json.encode(value)
