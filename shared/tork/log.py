"""What tasks print."""

from __future__ import annotations

from datetime import datetime

from tork.wire import Told


class TaskLogPart(Told, frozen=True, kw_only=True):
    """What a task printed within a short while. `number` counts from 1 in each run of the task."""

    id: str = ""
    number: int = 0
    task_id: str = ""
    contents: str
    created_at: datetime | None = None
    run: str = ""
    """The run that printed it; a task that was handed out again has several."""
