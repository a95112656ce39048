"""The messages that could not be handled, until somebody replays or removes them. Guarded by the lock of the event queues."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

from tork import wire
from tork.dead_letter import DeadLetter
from tork.errors import NotFound
from torkd.broker.memory.event_delivery import MemoryEventDelivery
from torkd.broker.messages import kind_of


@dataclass(frozen=True)
class _Dead:
    delivery: MemoryEventDelivery
    reason: str
    buried_at: datetime


class DeadLetters:
    """Those that were buried, the oldest first."""

    def __init__(self) -> None:
        self._dead: dict[str, _Dead] = {}

    def __len__(self) -> int:
        return len(self._dead)

    def add(self, delivery: MemoryEventDelivery, reason: str) -> None:
        """Bury one."""
        self._dead[uuid.uuid4().hex] = _Dead(delivery, reason, datetime.now(UTC))

    def take(self, letter_id: str) -> MemoryEventDelivery:
        """Take one out. Raises `NotFound`."""
        found = self._dead.pop(letter_id, None)
        if found is None:
            raise NotFound(f"there is no dead letter '{letter_id}'")
        return found.delivery

    def clear(self) -> int:
        """Drop them all; how many that were."""
        count = len(self._dead)
        self._dead.clear()
        return count

    def letters(self, limit: int) -> list[DeadLetter]:
        """At most `limit` of them, to be looked at."""
        return [_letter(letter_id, dead) for letter_id, dead in list(self._dead.items())[:limit]]


def _letter(letter_id: str, dead: _Dead) -> DeadLetter:
    return DeadLetter(
        id=letter_id,
        queue=dead.delivery.queue,
        reason=dead.reason,
        buried_at=dead.buried_at,
        kind=kind_of(dead.delivery.message),
        body=wire.encode_text(dead.delivery.message),
    )
