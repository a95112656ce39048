"""Several things of a kind, or a picture of one, in every format: what the API said, and how that looks to a person."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from torkctl import diagnostics
from torkctl.output import stdout
from torkctl.output.tables import Table, table_lines
from torkctl.settings import OutputFormat

_DOCUMENTS = {OutputFormat.JSON, OutputFormat.YAML}


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Things of one kind, as they were at one moment."""

    document: Any
    """The whole, as the API has it."""

    items: Sequence[Any]
    """Each of them, as the API has it."""

    names: Sequence[str]
    """What other commands call each of them."""

    table: Callable[[OutputFormat], Table]
    """A row each, for `table` or `wide`."""

    kind: str
    """What they are, in the plural."""

    is_final: bool = False
    """Whether it can't change any more, so that a watch ends."""

    def lines(self, output: OutputFormat) -> list[str]:
        """The table in lines; none when there is nothing to show."""
        return table_lines(self.table(output)) if self.items else []


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One thing as it was at one moment, drawn by its own rules."""

    document: Any
    names: Sequence[str]
    draw: Callable[[OutputFormat], list[str]]
    """Its lines, for `table` or `wide`."""

    is_final: bool = False
    kind: str = ""

    @property
    def items(self) -> Sequence[Any]:
        """Itself: it is one document."""
        return [self.document]

    def lines(self, output: OutputFormat) -> list[str]:
        """The drawing."""
        return self.draw(output)


def write_listing(listing: Listing | Picture, output: OutputFormat) -> None:
    """Write it once."""
    if output in _DOCUMENTS:
        stdout.write_document(listing.document, output)
    elif output is OutputFormat.JSONL:
        for item in listing.items:
            stdout.write_document(item, output)
    elif output is OutputFormat.NAME:
        stdout.write_lines(listing.names)
    elif not listing.items:
        diagnostics.notice(f"no {listing.kind}")
    else:
        stdout.write_lines(listing.lines(output))


def snapshot_lines(listing: Listing | Picture, output: OutputFormat, at: str) -> list[str]:
    """One of several snapshots: a table or names, or with JSON lines one document that says when it was so."""
    if output is OutputFormat.JSONL:
        document = msgspec.json.encode({"at": at, "data": listing.document})
        return [stdout.document_text(document, output).rstrip("\n")]
    if output is OutputFormat.NAME:
        return list(listing.names)
    return listing.lines(output) or [f"no {listing.kind}"]
