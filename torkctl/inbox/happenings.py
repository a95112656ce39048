"""What a watcher tells: one event, one line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tork.job import JobSummary


class Kind(StrEnum):
    """What happened."""

    SUBMITTED = "submitted"
    SCHEDULED = "scheduled"
    DUPLICATE = "duplicate"
    """The content had been submitted before; it was not again."""
    INVALID = "invalid"
    """The file is no job, or the server refuses it; it is looked at again when it is rewritten."""
    UNREADABLE = "unreadable"
    WAITING = "waiting"
    """The server or the folder is away."""
    BACK = "back"
    ENDED = "ended"


@dataclass(frozen=True, kw_only=True)
class Happening:
    """One event. `file` is a name as the folder has it."""

    kind: Kind
    file: str = ""
    id: str = ""
    """Of the job, or of the scheduled job."""
    is_schedule: bool = False
    name: str = ""
    job: JobSummary | None = None
    message: str = ""
    problems: Sequence[str] = ()


Tell = Callable[[Happening], None]
