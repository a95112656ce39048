"""What one client is told, apart from how it gets there.

A feed is read again whenever its doorbell rings. It remembers what it has told, so reading once too often tells nothing
twice, and a slow client is simply read less often: states in between collapse, nothing piles up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torkd.api.media import encode


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """What a reading found."""

    data: bytes = b""
    ended: bool = False
    """Nothing comes after this."""
    again_in: float | None = None
    """Read again after so many seconds, even if nobody rings; 0 when there is more at hand."""
    is_worth_it: bool = False
    """Whether the reading cost no more than what it found is worth: the next one need not rest for long."""
    status: int = 200
    """Of an answer that is told in one piece."""


def cut_short(feed: Feed, status: int, message: str) -> Told:
    """The end of a feed that can't go on: a stream just ends, an answer in one piece says why."""
    if feed.heartbeat:
        return Told(ended=True)
    return Told(data=encode({"message": message}), ended=True, status=status)


class Feed(Protocol):
    """Read by one thread at a time; the other methods come from any thread and only look."""

    @property
    def job_id(self) -> str:
        """The job whose doorbell this listens to; empty for every job's."""

    @property
    def content_type(self) -> str:
        """Of the answer."""

    @property
    def heartbeat(self) -> bytes:
        """Sent from time to time to keep the connection. Empty for an answer in one piece, whose head waits for it."""

    def read(self) -> Told:
        """What is new. May ask the datastore. Raises `NotFound` when there is nothing to tell of any more."""

    def job_touched(self, job_id: str, version: int) -> bool:
        """Whether that is news."""

    def log_touched(self, task_id: str) -> bool:
        """Whether that is news."""

    def missed(self) -> None:
        """Doorbells may have been missed. It is read next."""

    def farewell(self) -> Told:
        """What to say when the server stops."""
