"""A plain reader of server-sent events, as a browser or curl would see them."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Event:
    """One event."""

    kind: str
    data: Any
    id: str
    raw: str


@contextmanager
def event_stream(url: str, *, after: str = "", within: float = 30) -> Iterator[Iterator[Event]]:
    """Open a stream, perhaps after an event that was seen before; the events as they come, until the server ends it."""
    headers = {"Accept": "text/event-stream", **({"Last-Event-ID": after} if after else {})}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=within) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        yield _events(answer)


def events_of(url: str, *, after: str = "", within: float = 30) -> list[Event]:
    """All events until the server ends the stream."""
    with event_stream(url, after=after, within=within) as events:
        return list(events)


def _events(lines: Iterator[bytes]) -> Iterator[Event]:
    fields: dict[str, str] = {}
    raw = ""
    for line in lines:
        text = line.decode()
        raw += text
        name, _, value = text.rstrip("\n").partition(": ")
        if name in {"event", "data", "id"}:
            fields[name] = value
        elif text == "\n" and fields:
            yield Event(fields.get("event", "message"), json.loads(fields["data"]), fields.get("id", ""), raw)
            fields, raw = {}, ""
