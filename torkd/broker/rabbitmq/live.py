"""Live changes over RabbitMQ: a fanout exchange, and an exclusive queue of this process for all who listen in it."""

from __future__ import annotations

import logging
import threading
from functools import partial
from typing import Any

from pika import BasicProperties, spec
from pika.channel import Channel

from torkd.broker.live import Listener, LiveDispatcher, LocalSubscription
from torkd.broker.messages import LiveChanges
from torkd.broker.rabbitmq.channel import KeptChannel
from torkd.broker.rabbitmq.connection import KeptConnection
from torkd.broker.rabbitmq.encoding import NotForUs, Reading, Undecodable
from torkd.broker.rabbitmq.topology import LIVE_EXCHANGE, PRIVATE_ARGUMENTS

_LOG = logging.getLogger(__name__)


class LiveReader:
    """Reads the changes from the first subscription on. After a gap it says so."""

    def __init__(self, connection: KeptConnection, reading: Reading[LiveChanges]) -> None:
        self._connection, self._reading = connection, reading
        self._dispatcher = LiveDispatcher()
        self._start = threading.Lock()
        self._is_started = False
        self._is_listening = threading.Event()
        self._had_a_gap = False
        self._channel = KeptChannel(connection, on_open=self._opened, on_lost=self._lost)

    def subscribe(self, listener: Listener, seconds: float) -> LocalSubscription:
        """Add a listener. While RabbitMQ is away it hears nothing, and is told when that is over."""
        subscription = self._dispatcher.subscribe(listener)
        with self._start:
            if not self._is_started:
                self._is_started = True
                self._connection.run(self._channel.start)
        if not self._is_listening.wait(seconds):
            self._connection.run(self._expect_a_gap)
        return subscription

    def close(self) -> None:
        """Listen no more."""
        self._connection.run(self._channel.stop)
        self._dispatcher.close()

    def _expect_a_gap(self) -> None:
        if not self._is_listening.is_set():
            self._had_a_gap = True

    def _opened(self, channel: Channel) -> None:
        channel.exchange_declare(LIVE_EXCHANGE, "fanout", durable=True, callback=lambda _: None)
        channel.queue_declare(
            "", exclusive=True, auto_delete=True, arguments=PRIVATE_ARGUMENTS, callback=partial(self._declared, channel)
        )

    def _declared(self, channel: Channel, frame: Any) -> None:
        queue = frame.method.queue
        if channel.is_open:
            channel.add_on_cancel_callback(lambda _: channel.close())
            channel.queue_bind(queue, LIVE_EXCHANGE, callback=lambda _: None)
            channel.basic_consume(queue, self._delivered, auto_ack=True, callback=self._consuming)

    def _consuming(self, _frame: Any) -> None:
        self._channel.settled()
        self._is_listening.set()
        if self._had_a_gap:
            self._had_a_gap = False
            self._dispatcher.publish(None)

    def _lost(self, _code: int, _text: str) -> None:
        self._had_a_gap = self._had_a_gap or self._is_listening.is_set()
        self._is_listening.clear()

    def _delivered(
        self, _channel: Channel, _method: spec.Basic.Deliver, _properties: BasicProperties, body: bytes
    ) -> None:
        try:
            self._dispatcher.publish(self._reading.read(body))
        except (Undecodable, NotForUs) as error:
            _LOG.debug("live changes could not be read: %s", error)
            self._dispatcher.publish(None)
