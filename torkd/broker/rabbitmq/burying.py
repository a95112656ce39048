"""Moves messages to the `dead` queue, with the reason in their headers. The original is let go only when that is confirmed."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from pika import BasicProperties

from tork.dead_letter import DeadLetter
from torkd.broker.queues import DEAD
from torkd.broker.rabbitmq.encoding import PERSISTENT, Encoding, message_properties
from torkd.broker.rabbitmq.publisher import Outgoing, Publisher

_LOG = logging.getLogger(__name__)

QUEUE, REASON, BURIED_AT = "x-tork-queue", "x-tork-reason", "x-tork-buried-at"
MAX_REASON = 8_000
"""Characters: headers have to fit into one frame."""


class Undertaker:
    """Buries what can't be handled."""

    def __init__(self, publisher: Publisher, encoding: Encoding) -> None:
        self._publisher, self._encoding = publisher, encoding

    def bury(self, queue: str, body: bytes, reason: str, done: Callable[[str], None]) -> None:
        """Add it to the dead. `done` is told an error or nothing, in a thread of the broker's."""
        _LOG.warning("a message from the queue '%s' is buried: %s", queue, reason[:MAX_REASON])
        self._publisher.send([dead_message(queue, body, reason, self._encoding)], done)


def dead_message(queue: str, body: bytes, reason: str, encoding: Encoding) -> Outgoing:
    """The message to the `dead` queue. A reason may cite what is wrong with the body: it is sealed like that."""
    reason = reason[:MAX_REASON].encode(errors="replace").decode()
    headers = {
        QUEUE: queue,
        REASON: encoding.seal.seal_text(reason),
        BURIED_AT: datetime.now(UTC).isoformat(),
    }
    return Outgoing(DEAD, encoding.seal.seal(body), dead_properties(uuid.uuid4().hex, headers))


def dead_properties(letter_id: str | None, headers: Mapping[str, Any]) -> BasicProperties:
    """Of a message in the `dead` queue."""
    return BasicProperties(
        content_type="application/json", delivery_mode=PERSISTENT, message_id=letter_id, headers=dict(headers)
    )


def letter_id_of(properties: BasicProperties, delivery_tag: int) -> str:
    """What a dead letter is known by. One that somebody else put there has no id: its place in the queue has to do."""
    return properties.message_id or f"place-{delivery_tag}"


def dead_letter(properties: BasicProperties, delivery_tag: int, body: bytes, encoding: Encoding) -> DeadLetter:
    """A message of the `dead` queue, for people."""
    headers: Mapping[str, Any] = properties.headers or {}
    kind, text = encoding.show(body)
    return DeadLetter(
        id=letter_id_of(properties, delivery_tag),
        queue=str(headers.get(QUEUE, "")),
        reason=encoding.show_text(str(headers.get(REASON, ""))),
        buried_at=_moment(headers.get(BURIED_AT)),
        kind=kind,
        body=text,
    )


def replayed(properties: BasicProperties, body: bytes) -> Outgoing:
    """The message as it goes back to the queue that it came from."""
    headers: Mapping[str, Any] = properties.headers or {}
    return Outgoing(str(headers.get(QUEUE, "")), body, message_properties())


def _moment(text: Any) -> datetime:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return datetime.fromtimestamp(0, UTC)
