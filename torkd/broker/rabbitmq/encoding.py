"""Messages as bytes and back. Whatever comes out of a queue, reading it either works or says why not.

A message of a newer torkd is read as far as it can be; one that can't be read is left for somebody who understands it. Only
what is no message of ours at all is undecodable.
"""

from __future__ import annotations

from typing import Any, Generic, Protocol, TypeVar

import msgspec
from pika import BasicProperties, DeliveryMode

from tork import wire
from tork.wire import StoredDecoder
from torkd.broker.messages import MESSAGE_VERSION, CoordinatorMessage, LiveChanges, NodeOrder, RunTask

M = TypeVar("M")
T = TypeVar("T")

PERSISTENT = DeliveryMode.Persistent


class Seal(Protocol):
    """Closes message bodies, and opens them where they are read."""

    def seal(self, data: bytes) -> bytes:
        """The bytes as they travel."""

    def open(self, data: bytes) -> bytes:
        """The bytes as they were. Raises for what was not sealed with a key we have."""


class Undecodable(Exception):
    """Nobody can read this, now or later. The text says why."""


class Newer(Exception):
    """A newer torkd wrote this, in a way that this one can't read."""


class _Version(msgspec.Struct):
    v: int = 1
    kind: Any = ""


class Reading(Generic[M]):
    """Reads one kind of messages."""

    def __init__(self, decoder: StoredDecoder[M], seal: Seal | None) -> None:
        self._decode, self._seal = decoder.decode, seal

    def read(self, body: bytes) -> M:
        """The message. Raises `Undecodable`, or `Newer`."""
        try:
            data = self._seal.open(body) if self._seal is not None else body
        except Exception as error:
            raise Undecodable(f"it can't be opened with our keys: {error}") from error
        try:
            return self._decode(data)
        except Exception as error:
            if (_peek(data) or _Version()).v > MESSAGE_VERSION:
                raise Newer from error
            raise Undecodable(f"it can't be read: {error}") from error


class Encoding:
    """Writes and reads messages, sealed or not."""

    def __init__(self, seal: Seal | None) -> None:
        self._seal = seal
        self.tasks: Reading[RunTask] = Reading(StoredDecoder(RunTask), seal)
        self.events: Reading[CoordinatorMessage] = Reading(_decoder(CoordinatorMessage), seal)
        self.orders: Reading[NodeOrder] = Reading(_decoder(NodeOrder), seal)
        self.live: Reading[LiveChanges] = Reading(StoredDecoder(LiveChanges), seal)

    def write(self, message: msgspec.Struct) -> bytes:
        """The body of a message."""
        data = wire.encode(message)
        return self._seal.seal(data) if self._seal is not None else data

    def show(self, body: bytes) -> tuple[str, str]:
        """What a body is about, and its text, for people; as far as that can be said."""
        data = body
        if self._seal is not None:
            try:
                data = self._seal.open(body)
            except Exception:  # noqa: BLE001 -- what can't be opened is shown as it is
                data = body
        peeked = _peek(data)
        kind = peeked.kind if peeked is not None and isinstance(peeked.kind, str) else ""
        return kind, data.decode(errors="replace")


def message_properties(priority: int | None = None) -> BasicProperties:
    """Of a message that survives a restart."""
    return BasicProperties(content_type="application/json", delivery_mode=PERSISTENT, priority=priority)


def _peek(data: bytes) -> _Version | None:
    try:
        return msgspec.json.decode(data, type=_Version)
    except Exception:  # noqa: BLE001 -- whatever it is, it has no version that can be read
        return None


def _decoder(union: Any) -> StoredDecoder[Any]:
    return StoredDecoder(union)
