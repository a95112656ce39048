"""A port to traces that remembers what it is given."""

from __future__ import annotations

from torkd.tracing.span import Span


class FakeTracing:
    """Wants all traces, but for those that are named."""

    def __init__(self, *unwanted: str) -> None:
        self.unwanted = unwanted
        self.spans: list[Span] = []
        self.closed_within: list[float] = []

    def add(self, span: Span) -> None:
        self.spans.append(span)

    def samples(self, trace_id: str) -> bool:
        return trace_id not in self.unwanted

    def close(self, seconds: float) -> None:
        self.closed_within.append(seconds)
