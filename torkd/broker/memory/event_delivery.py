"""What a reader of events has in hand: the message, and the queue that it goes back to."""

from __future__ import annotations

from torkd.broker.messages import CoordinatorMessage


class MemoryEventDelivery:
    """A message in hand of one reader."""

    __slots__ = ("message", "put_at", "queue")

    def __init__(self, message: CoordinatorMessage, queue: str, put_at: float) -> None:
        self.message = message
        self.queue = queue
        self.put_at = put_at
