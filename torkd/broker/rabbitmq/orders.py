"""The private queue of a node on RabbitMQ: exclusive, so it goes with its reader, and what nobody reads is lost."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from pika import BasicProperties, spec
from pika.channel import Channel

from tork.errors import BrokerUnavailable
from torkd.broker.messages import MESSAGE_VERSION, NodeOrder
from torkd.broker.queues import node_queue
from torkd.broker.rabbitmq.burying import Undertaker
from torkd.broker.rabbitmq.channel import KeptChannel
from torkd.broker.rabbitmq.connection import KeptConnection
from torkd.broker.rabbitmq.encoding import NotForUs, Reading, Undecodable
from torkd.broker.rabbitmq.topology import PRIVATE_ARGUMENTS

_LOG = logging.getLogger(__name__)


class RabbitMQOrderConsumer:
    """The reader of one node's queue."""

    def __init__(
        self,
        node_id: str,
        connection: KeptConnection,
        reading: Reading[NodeOrder],
        undertaker: Undertaker,
        *,
        on_close: Callable[[RabbitMQOrderConsumer], None],
    ) -> None:
        self._queue = node_queue(node_id)
        self._connection, self._reading, self._undertaker = connection, reading, undertaker
        self._on_close = on_close
        self._lock = threading.Lock()
        self._something_to_do = threading.Condition(self._lock)
        self._waiting: list[NodeOrder] = []
        self._is_closed = False
        self._is_reading = threading.Event()
        self._trouble = ""
        self._channel = KeptChannel(connection, on_open=self._opened, on_lost=self._lost)

    def start(self, seconds: float) -> None:
        """Make the queue. Raises `BrokerUnavailable` when that takes too long, as while an earlier reader has it."""
        self._connection.run(self._channel.start)
        if not self._is_reading.wait(seconds):
            self.close()
            raise BrokerUnavailable(
                f"the node's queue '{self._queue}' can't be read: {self._trouble or self._connection.trouble}"
            )

    def receive(self, timeout: float) -> Sequence[NodeOrder]:
        """What is there, or nothing after `timeout` seconds."""
        with self._lock:
            self._something_to_do.wait_for(lambda: self._waiting or self._is_closed, timeout)
            taken, self._waiting = self._waiting, []
            return taken

    def close(self) -> None:
        """Read no more; the queue goes."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            self._waiting = []
            self._something_to_do.notify_all()
        self._connection.run(self._channel.stop)  # its consumer was the queue's last one
        self._on_close(self)

    def _opened(self, channel: Channel) -> None:
        channel.queue_declare(
            self._queue,
            exclusive=True,
            auto_delete=True,
            arguments=PRIVATE_ARGUMENTS,
            callback=partial(self._declared, channel),
        )

    def _declared(self, channel: Channel, _frame: Any) -> None:
        if channel.is_open:
            channel.add_on_cancel_callback(lambda _: channel.close())
            channel.basic_consume(self._queue, self._delivered, auto_ack=True, callback=self._consuming)

    def _consuming(self, _frame: Any) -> None:
        self._channel.settled()
        self._is_reading.set()

    def _lost(self, code: int, text: str) -> None:
        if code:
            self._trouble = text

    def _delivered(
        self, _channel: Channel, _method: spec.Basic.Deliver, _properties: BasicProperties, body: bytes
    ) -> None:
        try:
            order = self._reading.read(body)
        except Undecodable as undecodable:
            self._undertaker.bury(self._queue, body, str(undecodable), self._buried)
            return
        except NotForUs as error:
            _LOG.warning("an order is left out, heartbeats repeat what matters: %s", error)
            return
        if order.v > MESSAGE_VERSION:
            _LOG.warning("an order of a newer torkd is left out: heartbeats repeat what matters")
            return
        with self._lock:
            if not self._is_closed:
                self._waiting.append(order)
                self._something_to_do.notify()

    def _buried(self, error: str) -> None:
        if error:
            _LOG.warning("a message to this node could not be read, nor buried: %s", error)
