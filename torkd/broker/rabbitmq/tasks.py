"""A slot of a worker on RabbitMQ: a consumer of its own with a prefetch of one, that consumes only while the slot is free.

The slot is free from `receive` on. An acknowledgement is sent with the next `receive`, or after a moment without one: then the
task still runs, and the consumer is cancelled first, so that nothing more comes. So a short task costs no more than its
acknowledgement. Only the connection's thread touches the channel; no tag of an earlier channel is ever used.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

from pika import BasicProperties, spec
from pika.channel import Channel

from tork.errors import BrokerUnavailable
from torkd.broker.messages import MESSAGE_VERSION, RunTask
from torkd.broker.rabbitmq.burying import Undertaker
from torkd.broker.rabbitmq.channel import KeptChannel
from torkd.broker.rabbitmq.connection import KeptConnection
from torkd.broker.rabbitmq.declaring import Declarer
from torkd.broker.rabbitmq.encoding import NotForUs, Reading, Undecodable

REST_SECONDS = 0.02
"""How soon a slot that is not free stops consuming."""
NOT_FOR_US_SECONDS = 5.0
"""For how long a slot takes nothing after a message that is not for us: somebody who understands it shall get it."""


class RabbitMQTaskDelivery:
    """A task in hand of one slot."""

    __slots__ = ("_slot", "channel", "message", "redelivered", "tag")

    def __init__(
        self, message: RunTask, redelivered: bool, slot: RabbitMQTaskConsumer, channel: Channel, tag: int
    ) -> None:
        self.message = message
        self.redelivered = redelivered
        self.channel = channel
        self.tag = tag
        self._slot = slot

    def ack(self) -> None:
        """It is dealt with."""
        self._slot.drop(self)

    def requeue(self) -> None:
        """Put it back."""
        self._slot.give_back(self)


class RabbitMQTaskConsumer:
    """One slot."""

    def __init__(
        self,
        queue: str,
        connection: KeptConnection,
        declarer: Declarer,
        reading: Reading[RunTask],
        undertaker: Undertaker,
        *,
        arguments: dict[str, Any],
        on_close: Callable[[RabbitMQTaskConsumer], None],
    ) -> None:
        self._queue, self._connection, self._declarer = queue, connection, declarer
        self._reading, self._undertaker = reading, undertaker
        self._arguments = arguments
        self._on_close = on_close
        self._arrived: SimpleQueue[RabbitMQTaskDelivery | None] = SimpleQueue()
        """What came and nobody has taken yet: one at most, beside None as a wake-up."""
        self._exists = threading.Event()
        self._problem = ""
        """Why the queue can't be used."""
        self._is_closed = False
        self._is_waiting = False
        """Whether its thread is within `receive`."""
        # The rest belongs to the connection's thread.
        self._channel = KeptChannel(connection, on_open=self._opened, on_lost=self._lost)
        self._tag: str | None = None
        """Of the consumer, while there is one."""
        self._is_free = False
        self._is_looking_away = False
        """Whether a message that is not for us came lately."""
        self._in_hand: dict[int, RabbitMQTaskDelivery | None] = {}
        """By delivery tag; None for what is not for the slot."""
        self._acked: list[RabbitMQTaskDelivery] = []
        self._rest_timer: object | None = None

    def start(self, seconds: float) -> None:
        """Make the queue. Raises `BrokerUnavailable` when that takes too long or is refused."""
        self._connection.run(self._channel.start)
        if self._exists.wait(seconds) and not self._problem:
            return
        self.close()
        raise BrokerUnavailable(self._problem or f"the queue '{self._queue}' can't be read: {self._connection.trouble}")

    def receive(self, timeout: float) -> RabbitMQTaskDelivery | None:
        """The next task, or None after `timeout` seconds or once closed."""
        if self._is_closed:
            return None
        if self._problem:
            raise BrokerUnavailable(self._problem)
        delivery = self._take(0.0)
        if delivery is not None:
            return delivery
        self._is_waiting = True
        self._connection.run(self._free)
        delivery = self._take(timeout)
        self._is_waiting = False
        if delivery is None and not self._is_closed:
            self._connection.run(self._busy)
        return delivery

    def close(self) -> None:
        """Take no more; what is in hand goes back."""
        if self._is_closed:
            return
        self._is_closed = True
        self._connection.run(self._end)
        self._arrived.put(None)
        self._on_close(self)

    def drop(self, delivery: RabbitMQTaskDelivery) -> None:
        """Acknowledge soon; what is not in hand any more is ignored."""
        self._connection.run(partial(self._ack_soon, delivery))

    def give_back(self, delivery: RabbitMQTaskDelivery) -> None:
        """Put a delivery back, unless it is not in hand any more."""
        self._connection.run(partial(self._requeue, delivery))

    def _take(self, timeout: float) -> RabbitMQTaskDelivery | None:
        try:
            delivery = self._arrived.get(timeout > 0, timeout or None)
        except Empty:
            return None
        if delivery is None or self._is_closed or delivery.channel is not self._channel.raw:
            return None
        return delivery

    def _opened(self, channel: Channel) -> None:
        self._declarer.ensure(self._queue, partial(self._declared, channel))

    def _declared(self, channel: Channel, problem: str | None) -> None:
        if problem is None or channel is not self._channel.raw:
            return
        self._problem = problem
        self._exists.set()
        if problem:
            self._arrived.put(None)
            return
        channel.basic_qos(prefetch_count=1, callback=lambda _: None)
        channel.add_on_cancel_callback(self._cancelled)
        if self._is_free:
            self._consume()

    def _lost(self, code: int, _text: str) -> None:
        if code:
            self._declarer.forget(self._queue)
        self._tag = None
        self._in_hand.clear()
        self._acked.clear()
        self._is_looking_away = False  # the timer that would end it may be lost as well

    def _cancelled(self, _frame: Any) -> None:
        """The queue was deleted."""
        self._declarer.forget(self._queue)
        self._tag = None
        channel = self._channel.raw
        if channel is not None and channel.is_open:
            self._declarer.ensure(self._queue, partial(self._made_again, channel))

    def _made_again(self, channel: Channel, problem: str | None) -> None:
        if problem == "" and channel is self._channel.raw and self._is_free:
            self._consume()

    def _consume(self) -> None:
        channel = self._channel.raw
        if channel is None or not channel.is_open or self._tag is not None or self._is_looking_away:
            return
        if not self._declarer.knows(self._queue):
            return
        self._tag = channel.basic_consume(
            self._queue, self._delivered, arguments=self._arguments, callback=lambda _: self._channel.settled()
        )

    def _delivered(
        self, channel: Channel, method: spec.Basic.Deliver, _properties: BasicProperties, body: bytes
    ) -> None:
        assert method.delivery_tag is not None
        if channel is not self._channel.raw:
            return
        tag = method.delivery_tag
        if method.consumer_tag != self._tag:  # it came while the consumer was being cancelled
            channel.basic_nack(tag)
            return
        try:
            message = self._reading.read(body)
        except Undecodable as undecodable:
            self._in_hand[tag] = None
            self._undertaker.bury(self._queue, body, str(undecodable), partial(self._buried, channel, tag))
            return
        except NotForUs:
            message = None
        if message is None or message.v > MESSAGE_VERSION:
            self._in_hand[tag] = None
            self._leave_to_others(channel, tag)
            return
        delivery = RabbitMQTaskDelivery(message, bool(method.redelivered), self, channel, tag)
        self._in_hand[tag] = delivery
        self._is_free = False
        self._arrived.put(delivery)

    def _leave_to_others(self, channel: Channel, tag: int) -> None:
        """Put it back at once, and look away for a while: who holds it keeps it from those who could run it."""
        self._is_looking_away = True
        self._connection.later(NOT_FOR_US_SECONDS, self._look_again)
        self._rest()
        self._nack(channel, tag)

    def _look_again(self) -> None:
        self._is_looking_away = False
        if self._is_free:
            self._consume()

    def _buried(self, channel: Channel, tag: int, error: str) -> None:
        self._connection.run(partial(self._nack if error else self._ack, channel, tag))

    def _ack(self, channel: Channel, tag: int) -> None:
        if channel is self._channel.raw and tag in self._in_hand:
            del self._in_hand[tag]
            channel.basic_ack(tag)

    def _nack(self, channel: Channel, tag: int) -> None:
        if channel is self._channel.raw and tag in self._in_hand:
            del self._in_hand[tag]
            channel.basic_nack(tag)

    def _free(self) -> None:
        """The slot waits for a task."""
        self._flush()
        if not self._is_waiting or not self._arrived.empty():
            return  # it has got one in this moment
        self._is_free = True
        self._forget_rest()
        self._consume()

    def _busy(self) -> None:
        """The slot has stopped waiting: unless it comes back at once, nothing is to be taken for it."""
        self._is_free = False
        self._rest_soon()

    def _ack_soon(self, delivery: RabbitMQTaskDelivery) -> None:
        if self._is_in_hand(delivery) and delivery not in self._acked:
            self._acked.append(delivery)
            self._rest_soon()

    def _requeue(self, delivery: RabbitMQTaskDelivery) -> None:
        if self._is_in_hand(delivery) and delivery not in self._acked:
            self._rest()
            self._nack(delivery.channel, delivery.tag)

    def _is_in_hand(self, delivery: RabbitMQTaskDelivery) -> bool:
        return delivery.channel is self._channel.raw and self._in_hand.get(delivery.tag) is delivery

    def _flush(self) -> None:
        acked, self._acked = self._acked, []
        for delivery in acked:
            self._ack(delivery.channel, delivery.tag)

    def _rest_soon(self) -> None:
        if self._rest_timer is None:
            self._rest_timer = self._connection.later(REST_SECONDS, self._rest)

    def _forget_rest(self) -> None:
        if self._rest_timer is not None:
            self._connection.forget(self._rest_timer)
            self._rest_timer = None

    def _rest(self) -> None:
        """Stop consuming, then acknowledge: in this order, so that nothing more comes."""
        self._forget_rest()
        channel, tag = self._channel.raw, self._tag
        if channel is not None and channel.is_open and tag is not None:
            self._tag = None
            channel.basic_cancel(tag, callback=lambda _: None)
        self._flush()
        for untaken in self._take_untaken():
            if self._is_in_hand(untaken):
                self._nack(untaken.channel, untaken.tag)

    def _take_untaken(self) -> list[RabbitMQTaskDelivery]:
        untaken: list[RabbitMQTaskDelivery] = []
        try:
            while (delivery := self._arrived.get_nowait()) is not None:
                untaken.append(delivery)
        except Empty:
            return untaken
        self._arrived.put(None)  # a wake-up is not for us
        return untaken

    def _end(self) -> None:
        self._rest()
        self._channel.stop()
