"""Time and chance for those who are not told: the clock of this machine, and ids that never repeat."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime


def utc_now() -> datetime:
    """The time of day."""
    return datetime.now(UTC)


def new_id() -> str:
    """A new id for jobs, tasks and runs: 32 hexadecimal characters."""
    return uuid.uuid4().hex
