"""A channel for one errand: each call waits for its answer. For what people ask now and then, not for what flows."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Any

from pika import BasicProperties, exceptions, spec
from pika.channel import Channel

from tork.errors import BrokerUnavailable
from torkd.broker.rabbitmq.connection import KeptConnection

Got = tuple[int, BasicProperties, bytes]


class Refused(Exception):
    """RabbitMQ closed the channel instead of answering."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class Errand:
    """A context manager; each call waits so many seconds at most. What was got and not acknowledged goes back at its end."""

    def __init__(self, connection: KeptConnection, *, seconds: float) -> None:
        self._connection = connection
        self._seconds = seconds
        self._lock = threading.Lock()
        self._answered = threading.Condition(self._lock)
        self._answer: Any = None
        self._failure: BaseException | None = None
        self._channel: Channel | None = None

    def __enter__(self) -> Errand:
        try:
            self._ask(self._open)
        except BaseException:
            self._connection.run(self._close)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.run(self._close)

    def declare(self, queue: str, *, passive: bool = False, arguments: dict[str, Any] | None = None) -> tuple[int, int]:
        """Make a durable queue, or look at any: how many messages wait, and how many consumers there are."""
        frame = self._ask(
            lambda channel, done: channel.queue_declare(
                queue, passive=passive, durable=not passive, arguments=arguments, callback=done
            )
        )
        return frame.method.message_count, frame.method.consumer_count

    def purge(self, queue: str) -> int:
        """Drop what waits; how many that were."""
        return int(self._ask(lambda channel, done: channel.queue_purge(queue, callback=done)).method.message_count)

    def delete(self, queue: str) -> None:
        """Delete a queue; one that does not exist is no matter."""
        self._ask(lambda channel, done: channel.queue_delete(queue, callback=done))

    def get(self, queue: str) -> Got | None:
        """The first message that nobody has, if any: its tag, its properties and its body."""

        def ask(channel: Channel, done: Callable[[Any], None]) -> None:
            def got(_channel: Channel, method: spec.Basic.GetOk, properties: BasicProperties, body: bytes) -> None:
                done((method.delivery_tag, properties, body))

            channel.basic_get(queue, got)

        found: Got | None = self._ask(ask)
        return found

    def ack(self, tag: int) -> None:
        """It is dealt with."""
        self._connection.run(partial(self._settle, lambda channel: channel.basic_ack(tag)))

    def give_back(self, queue: str) -> None:
        """Give back what was got from the queue and not acknowledged; it is there again when this returns."""
        self._connection.run(partial(self._settle, lambda channel: channel.basic_nack(0, multiple=True)))
        self.declare(queue, passive=True)  # is answered after that is done

    def connected(self) -> None:
        """An errand is done on one connection, or not at all."""

    def unblocked(self) -> None:
        """Does not matter: an errand publishes nothing."""

    def lost(self) -> None:
        """There will be no answer any more."""
        self._channel = None
        self._fail(self._no_answer())

    def _ask(self, ask: Callable[[Any, Callable[[Any], None]], Any]) -> Any:
        with self._lock:
            if self._failure is None:
                self._answer = _NOTHING
                self._connection.run(partial(self._begin, ask))
                self._answered.wait_for(lambda: self._answer is not _NOTHING or self._failure, self._seconds)
            if self._failure is not None:
                raise self._failure
            if self._answer is _NOTHING:
                self._failure = self._no_answer()
                raise self._failure
            return self._answer

    def _no_answer(self) -> BrokerUnavailable:
        trouble = "it does not answer" if self._connection.is_up else self._connection.trouble
        return BrokerUnavailable(f"RabbitMQ at {self._connection.place} can't be reached: {trouble}")

    def _begin(self, ask: Callable[[Any, Callable[[Any], None]], Any]) -> None:
        try:
            if not self._connection.is_up:
                self._fail(self._no_answer())
            else:
                ask(self._channel, self._done)
        except exceptions.AMQPError:
            self._fail(self._no_answer())

    def _open(self, _none: Any, _done: Any) -> None:
        self._connection.attach(self)
        self._channel = self._connection.raw.channel(on_open_callback=self._done)
        self._channel.add_on_close_callback(self._closed)
        self._channel.add_callback(lambda _: self._done(None), [spec.Basic.GetEmpty], one_shot=False)

    def _settle(self, settle: Callable[[Channel], None]) -> None:
        if self._channel is not None and self._channel.is_open:
            settle(self._channel)

    def _done(self, answer: Any) -> None:
        with self._lock:
            self._answer = answer
            self._answered.notify_all()

    def _closed(self, _channel: Any, reason: BaseException) -> None:
        if isinstance(reason, exceptions.ChannelClosedByBroker):
            self._fail(Refused(reason.reply_code, reason.reply_text))
        else:
            self._fail(self._no_answer())

    def _fail(self, failure: BaseException) -> None:
        with self._lock:
            if self._failure is None:
                self._failure = failure
            self._answered.notify_all()

    def _close(self) -> None:
        self._connection.detach(self)
        channel = self._channel
        if channel is not None and channel.is_open:
            channel.close()


_NOTHING = object()
