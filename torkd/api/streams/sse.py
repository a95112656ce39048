"""Server-sent events as bytes, and where a client wants to go on."""

from __future__ import annotations

from typing import Any

import falcon

from torkd.api.media import encode

CONTENT_TYPE = "text/event-stream"
HEARTBEAT = b":\n\n"
RESET = b"event: reset\ndata: {}\n\n"
"""Forget what was told before: the next events start over."""


def event(kind: str, document: Any, event_id: str = "") -> bytes:
    """One event; JSON has no line breaks, so its data is one line."""
    lines = [b"event: ", kind.encode(), b"\ndata: ", encode(document), b"\n"]
    if event_id:
        lines += [b"id: ", event_id.encode(), b"\n"]
    return b"".join([*lines, b"\n"])


def comment(text: str) -> bytes:
    """A line that clients ignore and people may read."""
    return f": {text}\n\n".encode()


def resume_after(req: falcon.Request) -> str:
    """The id of the last event the client has seen, or an empty text."""
    return (req.get_header("Last-Event-ID") or "").strip()
