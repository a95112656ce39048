"""What the API counts, and whom it asks for all that is counted."""

from __future__ import annotations

from typing import Protocol


class Figures(Protocol):
    """The figures of this process and of what it stands on. Safe to use from several threads."""

    def request_served(self, *, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered. `route` is the template of its path, not the path: there are few of those."""

    def streams_open(self, count: int) -> None:
        """So many streams are followed now."""

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """All figures as text, in the format that the header `Accept` asks for, with its media type."""
