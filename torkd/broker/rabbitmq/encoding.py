"""Messages as bytes and back. Whatever comes out of a queue, reading it either works or says why not.

A message of a newer torkd is read as far as it can be; one that can't be read, or is sealed with a key that is not here, is left
for somebody who understands it. Only what is no message of ours at all is undecodable.
"""

from __future__ import annotations

import logging
import time
from typing import Any, Generic, TypeVar

import msgspec
from pika import BasicProperties, DeliveryMode

from tork import wire
from tork.wire import StoredDecoder
from torkd.broker.messages import MESSAGE_VERSION, CoordinatorMessage, LiveChanges, NodeOrder, RunTask
from torkd.sealing import Damaged, KeyMissing, SealedBodies

_LOG = logging.getLogger(__name__)

M = TypeVar("M")
T = TypeVar("T")

PERSISTENT = DeliveryMode.Persistent
LOCKED_SECONDS = 30.0
"""For how long a message that could not be opened is told as trouble: it comes back sooner, while it is there."""


class Undecodable(Exception):
    """Nobody can read this, now or later. The text says why."""


class NotForUs(Exception):
    """Somebody else may be able to read this: it is put back, and never buried."""


class Newer(NotForUs):
    """A newer torkd wrote this, in a way that this one can't read."""


class Locked(NotForUs):
    """It is sealed with a key that this process does not have. The text says so."""


class MissingKeys:
    """Whether messages came lately that this process has no key for. Used from the threads of all connections."""

    def __init__(self) -> None:
        self._sentence, self._until = "", 0.0

    def met(self, sentence: str) -> None:
        """Note it; say it when it is news."""
        now = time.monotonic()
        if now >= self._until or sentence != self._sentence:
            _LOG.error("messages can't be read, and are left to others: they are %s", sentence)
        self._sentence, self._until = sentence, now + LOCKED_SECONDS

    def sentence(self) -> str:
        """The trouble, or nothing when there is none any more."""
        return f"messages are {self._sentence}" if time.monotonic() < self._until else ""


class _Version(msgspec.Struct):
    v: int = 1
    kind: Any = ""


class Reading(Generic[M]):
    """Reads one kind of messages."""

    def __init__(self, decoder: StoredDecoder[M], seal: SealedBodies, missing: MissingKeys) -> None:
        self._decode, self._seal, self._missing = decoder.decode, seal, missing

    def read(self, body: bytes) -> M:
        """The message. Raises `Undecodable`, `Newer` or `Locked`."""
        try:
            data = self._seal.open(body)
        except KeyMissing as error:
            self._missing.met(str(error))
            raise Locked(f"messages are {error}") from error
        except Damaged as error:
            raise Undecodable(f"it can't be opened: {error}") from error
        try:
            return self._decode(data)
        except Exception as error:
            if (_peek(data) or _Version()).v > MESSAGE_VERSION:
                raise Newer("messages are of a newer torkd") from error
            raise Undecodable(f"it can't be read: {error}") from error


class Encoding:
    """Writes and reads messages, sealed or not."""

    def __init__(self, seal: SealedBodies) -> None:
        self.seal = seal
        self.missing_keys = MissingKeys()
        self.tasks: Reading[RunTask] = self._reading(StoredDecoder(RunTask))
        self.events: Reading[CoordinatorMessage] = self._reading(_decoder(CoordinatorMessage))
        self.orders: Reading[NodeOrder] = self._reading(_decoder(NodeOrder))
        self.live: Reading[LiveChanges] = self._reading(StoredDecoder(LiveChanges))

    def _reading(self, decoder: StoredDecoder[M]) -> Reading[M]:
        return Reading(decoder, self.seal, self.missing_keys)

    def write(self, message: msgspec.Struct) -> bytes:
        """The body of a message."""
        return self.seal.seal(wire.encode(message))

    def show(self, body: bytes) -> tuple[str, str]:
        """What a body is about, and its text, for people; as far as that can be said."""
        try:
            data = self.seal.open(body)
        except (KeyMissing, Damaged) as error:
            return "", f"[{error}]"
        peeked = _peek(data)
        kind = peeked.kind if peeked is not None and isinstance(peeked.kind, str) else ""
        return kind, data.decode(errors="replace")

    def show_text(self, text: str) -> str:
        """The text of a header, for people."""
        try:
            return self.seal.open_text(text)
        except (KeyMissing, Damaged) as error:
            return f"[{error}]"


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
