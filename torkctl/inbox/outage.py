"""How long to leave a server alone that does not answer, and when to give up. No clock.

Invariant: one answer, whatever it says, ends the outage.
"""

from __future__ import annotations

from dataclasses import dataclass

from torkctl.inbox.tracker import delay_seconds

_LONGEST_ADVISED_SECONDS = 60.0
_LONGEST_DELAY_SECONDS = 10.0


@dataclass(kw_only=True)
class Outage:
    """Whether the server is away, and since when."""

    give_up_seconds: float | None = None
    """None never gives up."""

    retry_at: float = 0.0
    _since: float | None = None
    _failures: int = 0

    def failed(self, now: float, advised_seconds: float | None) -> bool:
        """No answer came. Returns whether that begins an outage."""
        begins = self._since is None
        if self._since is None:
            self._since = now
        advised = min(advised_seconds or 0.0, _LONGEST_ADVISED_SECONDS)
        self.retry_at = now + max(advised, min(delay_seconds(self._failures), _LONGEST_DELAY_SECONDS))
        self._failures += 1
        return begins

    def answered(self) -> bool:
        """An answer came. Returns whether that ends an outage."""
        ends = self._since is not None
        self._since, self._failures, self.retry_at = None, 0, 0.0
        return ends

    def is_hopeless(self, now: float) -> bool:
        """Whether it has lasted longer than patience does."""
        return self._since is not None and self.give_up_seconds is not None and now - self._since > self.give_up_seconds

    def is_ongoing(self) -> bool:
        """Whether the last that is known of the server is that it did not answer."""
        return self._since is not None

    def is_on(self, now: float) -> bool:
        """Whether the server is to be left alone for now."""
        return now < self.retry_at

    def wants_a_try(self, now: float) -> bool:
        """Whether it is time to ask the server again."""
        return self._since is not None and now >= self.retry_at
