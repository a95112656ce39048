"""What one serving process stands on, and what it is asked to do when signals come."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol


class Drain(Protocol):
    """Ends the work in hand."""

    def __call__(self, *, short: bool) -> None:
        """Take no more work and return when what was in hand is done or handed back; `short` does not wait for it."""


def _nothing() -> None:
    pass


@dataclass(frozen=True, kw_only=True, slots=True)
class Served:
    """Made in the serving process, after the fork. All of these may be called from any thread."""

    app: Callable[..., Iterable[bytes]]
    """The WSGI application."""
    drain: Drain
    end_streams: Callable[[], Any] = _nothing
    """End what is open for as long as the client likes. Called when work is done, before the last requests are waited for."""
    leave: Callable[[], Any] = _nothing
    """Leave to a successor what can go on without us. Called before `close` when the parent was killed: nobody asked to stop."""
    close: Callable[[], Any] = _nothing
    """Stop everything. Called last, once."""
    reload: Callable[[], Any] = _nothing
    """Read again what can change while running."""
