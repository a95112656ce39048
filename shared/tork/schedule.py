"""Jobs that start by the clock."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from tork.account import User
from tork.wire import Told


class ScheduleState(StrEnum):
    """Whether a schedule fires."""

    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"


class ScheduledJobSummary(Told, frozen=True, kw_only=True):
    """A scheduled job in few words."""

    id: str
    created_by: User | None = None
    inputs: dict[str, str] = {}
    state: ScheduleState
    name: str = ""
    description: str = ""
    tags: list[str] = []
    created_at: datetime
    cron: str = ""
