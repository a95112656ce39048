"""The port to whatever takes traces."""

from __future__ import annotations

from typing import Protocol

from torkd.tracing.span import Span


class Tracing(Protocol):
    """Takes spans. Safe to use from several threads."""

    def add(self, span: Span) -> None:
        """Send it some time soon, or never: nobody waits for it. Must not raise."""

    def samples(self, trace_id: str) -> bool:
        """Whether traces of this id are wanted. Everybody with the same settings answers the same."""

    def close(self, seconds: float) -> None:
        """Send what is in hand, for so long, and end. May be called again."""
