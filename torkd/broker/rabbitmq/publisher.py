"""Sends messages, and knows which of them RabbitMQ has confirmed.

A batch is done when each of its messages is confirmed; what is lost with a connection is sent again on the next one, and what
found no queue after the queue is made. So a message may arrive twice. Whoever publishes waits for a bounded time.

Memory is bounded: while RabbitMQ does not confirm, or takes nothing for its memory or disk being short, nothing more is written.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from pika import BasicProperties, exceptions, spec
from pika.channel import Channel

from tork.errors import BrokerUnavailable
from torkd.broker.rabbitmq.channel import KeptChannel
from torkd.broker.rabbitmq.connection import KeptConnection
from torkd.broker.rabbitmq.declaring import Declarer
from torkd.broker.rabbitmq.topology import LIVE_EXCHANGE

MAX_UNCONFIRMED = 20_000
MAX_UNCONFIRMED_BYTES = 32_000_000
MAX_ATTEMPTS = 4
"""At a queue that vanishes as often as it is made."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message on its way."""

    queue: str
    body: bytes
    properties: BasicProperties
    exchange: str = ""
    is_mandatory: bool = True
    """Whether the queue is ours to make, and the message must not be lost for its lack."""


class _Batch:
    """Messages that are confirmed together. Belongs to the connection's thread, but for `ended` and `is_abandoned`."""

    __slots__ = ("attempts", "ended", "error", "is_abandoned", "left", "messages", "on_done", "todo")

    def __init__(self, messages: Sequence[Outgoing], on_done: Callable[[str], None] | None) -> None:
        self.messages = messages
        self.on_done = on_done
        self.todo = list(range(len(messages)))
        self.left = 0
        """How many are written and not confirmed."""
        self.attempts = 0
        self.error = ""
        self.is_abandoned = False
        """Nobody waits for it any more."""
        self.ended = threading.Event()


class Publisher:
    """Publishes over one connection."""

    def __init__(self, connection: KeptConnection, declarer: Declarer, *, wait: float) -> None:
        self._connection, self._declarer, self._wait = connection, declarer, wait
        self._channel = KeptChannel(connection, on_open=self._opened, on_lost=self._lost, on_unblocked=self._advance)
        self._is_ready = False
        self._waiting: deque[_Batch] = deque()
        self._is_declaring = False
        self._next_tag = 1
        self._unconfirmed: dict[int, tuple[_Batch, int]] = {}
        self._unconfirmed_bytes = 0
        self._returned: set[int] = set()
        self._is_stalled = False
        """Whether somebody has waited in vain for confirmations since the last one came."""
        self._is_closed = False

    def start(self) -> None:
        """Begin."""
        self._connection.run(self._channel.start)

    def close(self) -> None:
        """Publish no more; whoever waits is told."""
        self._is_closed = True
        self._connection.run(self._end_all)

    def publish(self, messages: Sequence[Outgoing]) -> None:
        """Return when all are confirmed. Raises `BrokerUnavailable` when that takes too long or is refused."""
        if not messages:
            return
        self._raise_if_closed()
        batch = _Batch(messages, None)
        self._connection.run(partial(self._add, batch))
        if not batch.ended.wait(self._wait):
            batch.is_abandoned = True
            self._connection.run(partial(self._give_up, batch))
            raise BrokerUnavailable(self._why_not())
        if batch.error:
            raise BrokerUnavailable(batch.error)

    def send(self, messages: Sequence[Outgoing], on_done: Callable[[str], None]) -> None:
        """Return at once; `on_done` is told an error or nothing in the connection's thread, sooner or later."""
        self._connection.run(partial(self._add, _Batch(messages, on_done)))

    @property
    def has_room(self) -> bool:
        """Whether what is sent now goes out now."""
        return self._can_write()

    def post(self, messages: Sequence[Outgoing]) -> None:
        """Send what may be lost, and wait for nothing. Raises `BrokerUnavailable` when it can't be sent now."""
        self._raise_if_closed()
        if not self._can_write():
            raise BrokerUnavailable(self._why_not())
        batch = _Batch(messages, None)
        batch.is_abandoned = True
        self._connection.run(partial(self._post, batch))

    def _raise_if_closed(self) -> None:
        if self._is_closed:
            raise BrokerUnavailable(
                f"the connection to RabbitMQ at {self._connection.place} is closed "
                "(right would be to use the broker between open and close)"
            )

    def _why_not(self) -> str:
        place = self._connection.place
        if not self._connection.is_up:
            return f"RabbitMQ at {place} can't be reached: {self._connection.trouble}"
        if self._connection.is_blocked:
            return f"RabbitMQ at {place} takes no messages now: its memory or disk is short"
        return f"RabbitMQ at {place} did not confirm within {self._wait:g} s"

    def _can_write(self) -> bool:
        return (
            self._is_ready
            and not self._connection.is_blocked
            and not self._is_stalled
            and len(self._unconfirmed) < MAX_UNCONFIRMED
            and self._unconfirmed_bytes < MAX_UNCONFIRMED_BYTES
        )

    def _add(self, batch: _Batch) -> None:
        self._waiting.append(batch)
        self._advance()

    def _post(self, batch: _Batch) -> None:
        if self._can_write():
            self._write(batch)

    def _advance(self) -> None:
        while self._waiting and self._can_write() and not self._is_declaring:
            batch = self._waiting.popleft()
            if batch.is_abandoned:
                continue
            unknown = self._unknown_queue(batch)
            if unknown is not None:
                self._is_declaring = True
                self._declarer.ensure(unknown, partial(self._declared, batch, unknown))
            else:
                self._write(batch)

    def _unknown_queue(self, batch: _Batch) -> str | None:
        for index in batch.todo:
            message = batch.messages[index]
            if message.is_mandatory and not self._declarer.knows(message.queue):
                return message.queue
        return None

    def _declared(self, batch: _Batch, queue: str, problem: str | None) -> None:
        self._is_declaring = False
        if problem:
            # The other queues' messages go out all the same: one queue must not hold up the rest.
            batch.error = problem
            batch.todo = [index for index in batch.todo if batch.messages[index].queue != queue]
        if batch.todo:
            self._waiting.appendleft(batch)
        else:
            self._end(batch)
        self._advance()

    def _write(self, batch: _Batch) -> None:
        channel = self._channel.raw
        assert channel is not None
        todo, batch.todo = batch.todo, []
        batch.attempts += 1
        for position, index in enumerate(todo):
            message = batch.messages[index]
            try:
                channel.basic_publish(
                    message.exchange, message.queue, message.body, message.properties, message.is_mandatory
                )
            except exceptions.AMQPError:  # it is closing; its end will be told, and then this is sent again
                batch.todo = todo[position:]
                self._waiting.appendleft(batch)
                return
            self._unconfirmed[self._next_tag] = (batch, index)
            self._unconfirmed_bytes += len(message.body)
            self._next_tag += 1
            batch.left += 1

    def _opened(self, channel: Channel) -> None:
        self._next_tag = 1
        channel.add_on_return_callback(self._on_return)
        channel.exchange_declare(LIVE_EXCHANGE, "fanout", durable=True, callback=lambda _: None)
        channel.confirm_delivery(self._on_confirm, callback=self._confirming)

    def _confirming(self, _frame: Any) -> None:
        self._channel.settled()
        self._is_ready = True
        self._advance()

    def _lost(self, _code: int, _text: str) -> None:
        self._is_ready = self._is_stalled = False
        unconfirmed, self._unconfirmed = self._unconfirmed, {}
        self._unconfirmed_bytes = 0
        self._returned.clear()
        again: dict[_Batch, None] = {}
        for batch, index in unconfirmed.values():
            batch.left = 0
            batch.todo.append(index)
            again[batch] = None
        for batch in reversed(again):
            if not batch.is_abandoned and batch not in self._waiting:
                self._waiting.appendleft(batch)

    def _on_return(self, _channel: Any, method: spec.Basic.Return, _properties: Any, _body: bytes) -> None:
        """There is no such queue. Its confirmation comes next; then all that is on its way there is sent again."""
        queue = method.routing_key or ""
        self._declarer.forget(queue)
        self._returned.update(
            tag for tag, (batch, index) in self._unconfirmed.items() if batch.messages[index].queue == queue
        )

    def _on_confirm(self, frame: Any) -> None:
        method = frame.method
        self._is_stalled = False
        if method.multiple:
            tags = []
            for tag in self._unconfirmed:
                if tag > method.delivery_tag:
                    break
                tags.append(tag)
        else:
            tags = [method.delivery_tag]
        is_refused = isinstance(method, spec.Basic.Nack)
        for tag in tags:
            self._settle(tag, is_refused)
        self._advance()

    def _settle(self, tag: int, is_refused: bool) -> None:
        found = self._unconfirmed.pop(tag, None)
        if found is None:
            return
        batch, index = found
        message = batch.messages[index]
        self._unconfirmed_bytes -= len(message.body)
        batch.left -= 1
        if tag in self._returned:
            self._returned.discard(tag)
            batch.todo.append(index)
        elif is_refused:
            batch.error = f"the queue '{message.queue}' is full: more is sent than is handled"
        if batch.left:
            return
        if batch.todo and batch.attempts < MAX_ATTEMPTS and not batch.is_abandoned:
            self._waiting.appendleft(batch)
            return
        if batch.todo:
            batch.error = f"the queue '{message.queue}' is deleted as often as it is made"
        self._end(batch)

    def _end(self, batch: _Batch) -> None:
        batch.ended.set()
        if batch.on_done is not None:
            batch.on_done(batch.error)

    def _give_up(self, batch: _Batch) -> None:
        if batch.left and self._connection.is_up:
            self._is_stalled = True

    def _end_all(self) -> None:
        waiting = dict.fromkeys([*self._waiting, *(batch for batch, _ in self._unconfirmed.values())])
        self._waiting.clear()
        for batch in waiting:
            batch.error = batch.error or "the connection to RabbitMQ is closed"
            batch.ended.set()
