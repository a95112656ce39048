"""How the webhooks of a job are doing, as the API tells it."""

from __future__ import annotations

from datetime import datetime

from tork.wire import Told


class WebhookStatus(Told, frozen=True, kw_only=True):
    """One address: what was delivered to it, and how the last try went."""

    url: str
    events: list[str] = []
    """The events that it is told of."""
    waiting: int = 0
    """Requests to be made, the one that is tried again included."""
    delivered: int = 0
    given_up: int = 0
    tries: int = 0
    """Of the first request that waits."""
    last_try_at: datetime | None = None
    last_status: int = 0
    """The HTTP status that the last try was answered with."""
    last_error: str = ""
    """Why the last try failed."""
    next_try_at: datetime | None = None
