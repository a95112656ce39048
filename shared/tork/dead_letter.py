"""A message that could not be handled, as people look at it before they replay or remove it."""

from __future__ import annotations

from datetime import datetime

from tork.wire import Told


class DeadLetter(Told, frozen=True, kw_only=True):
    """A message in the `dead` queue."""

    id: str
    queue: str
    """Where it was read, and where a replay puts it."""
    reason: str
    buried_at: datetime
    kind: str = ""
    """What it is about, as in the message; empty when that can't be read."""
    body: str
    """The message as JSON; when it is none, its text as far as it is text."""
