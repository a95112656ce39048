"""A reader of coordinators' queues on RabbitMQ: messages come ahead of being asked for, a few hundred from each queue.

What is in hand is known by channel and delivery tag. The connection's thread alone acknowledges, several at once where they are
the oldest ones, and only on the channel that they came by.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any

from pika import BasicProperties, spec
from pika.channel import Channel

from tork.errors import BrokerUnavailable
from torkd.broker.messages import CoordinatorMessage
from torkd.broker.protocol import EventDelivery
from torkd.broker.queues import HEARTBEAT
from torkd.broker.rabbitmq.burying import Undertaker
from torkd.broker.rabbitmq.channel import KeptChannel
from torkd.broker.rabbitmq.connection import KeptConnection
from torkd.broker.rabbitmq.declaring import Declarer
from torkd.broker.rabbitmq.encoding import NotForUs, Reading, Undecodable

PREFETCH = 500
"""From each queue: more than a batch, so that the next one is there already."""
NOT_FOR_US_SECONDS = 5.0
"""When a message is delivered again that a newer torkd wrote so that we can't read it, or that could not be buried."""
LOOK_AGAIN_SECONDS = 5.0
"""At a queue that can't be used."""


class _Arrived:
    """A message as it came."""

    __slots__ = ("body", "channel", "queue", "tag")

    def __init__(self, channel: Channel, tag: int, queue: str, body: bytes) -> None:
        self.channel, self.tag, self.queue, self.body = channel, tag, queue, body


class RabbitMQEventDelivery:
    """A message in hand of one reader."""

    __slots__ = ("arrived", "message")

    def __init__(self, message: CoordinatorMessage, arrived: _Arrived) -> None:
        self.message = message
        self.arrived = arrived


class RabbitMQEventConsumer:
    """One reader of several queues."""

    def __init__(
        self,
        queues: Collection[str],
        connection: KeptConnection,
        declarer: Declarer,
        reading: Reading[CoordinatorMessage],
        undertaker: Undertaker,
        *,
        on_close: Callable[[RabbitMQEventConsumer], None],
        prefetch: int = PREFETCH,
    ) -> None:
        self._prefetch = prefetch
        self._queues, self._connection, self._declarer = tuple(queues), connection, declarer
        self._reading, self._undertaker = reading, undertaker
        self._on_close = on_close
        self._lock = threading.Lock()
        """Guards what follows."""
        self._something_to_do = threading.Condition(self._lock)
        self._waiting: dict[str, deque[_Arrived]] = {queue: deque() for queue in self._queues}
        self._order = deque(self._queues)
        """In the order of the next batch: it rotates, so that a full queue does not starve the others."""
        self._problems: dict[str, str] = {}
        self._consumed: set[str] = set()
        self._is_woken = self._is_closed = False
        self._not_for_us = ""
        """Why the last one that is not for us is not. For who receives."""
        # The rest belongs to the connection's thread.
        self._channel = KeptChannel(connection, on_open=self._opened, on_lost=self._lost)
        self._in_hand: dict[int, _Arrived] = {}
        """By delivery tag, the oldest first."""

    def start(self, seconds: float) -> None:
        """Begin to read. Raises `BrokerUnavailable` when that takes too long or is refused."""
        self._connection.run(self._channel.start)
        with self._lock:
            self._something_to_do.wait_for(
                lambda: len(self._consumed | set(self._problems)) == len(self._queues), seconds
            )
            problem = next(iter(self._problems.values()), "")
            is_reading = not problem and len(self._consumed) == len(self._queues)
        if not is_reading:
            self.close()
            raise BrokerUnavailable(problem or f"the coordinators' queues can't be read: {self._connection.trouble}")

    @property
    def is_reading(self) -> bool:
        """Whether RabbitMQ is there and sends from all queues."""
        with self._lock:
            return len(self._consumed) == len(self._queues) and not self._is_closed

    def receive(self, limit: int, timeout: float) -> Sequence[RabbitMQEventDelivery]:
        """What is there, at most `limit`; waits for the first only."""
        deadline = time.monotonic() + timeout
        deliveries: list[RabbitMQEventDelivery] = []
        while not deliveries:
            with self._lock:
                self._something_to_do.wait_for(self._has_something, max(deadline - time.monotonic(), 0.0))
                arrived = [] if self._is_closed else self._take(limit)
                is_over = self._is_woken or self._is_closed or not arrived
                self._is_woken = False
                problem = "" if arrived else next(iter(self._problems.values()), "")
            if problem:
                raise BrokerUnavailable(problem)
            deliveries = self._read(arrived)
            if self._not_for_us and not deliveries and HEARTBEAT in self._queues:
                # Nothing would mean that no worker says anything.
                trouble, self._not_for_us = self._not_for_us, ""
                raise BrokerUnavailable(trouble)
            if is_over:
                break
        return deliveries

    def ack(self, deliveries: Sequence[EventDelivery]) -> None:
        """They are dealt with."""
        self._connection.run(partial(self._ack, _arrived(deliveries)))

    def put_back(self, deliveries: Sequence[EventDelivery], delay: float = 0.0) -> None:
        """Deliver them again, not before `delay` seconds from now."""
        self._connection.run(partial(self._put_back, _arrived(deliveries), delay))

    def bury(self, delivery: EventDelivery, reason: str) -> None:
        """Move it to the dead."""
        for arrived in _arrived([delivery]):
            self._bury(arrived, reason)

    def wake(self) -> None:
        """Make the `receive` that waits return now, or the next one."""
        with self._lock:
            self._is_woken = True
            self._something_to_do.notify_all()

    def close(self) -> None:
        """Read no more; what is in hand is for the others."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            self._something_to_do.notify_all()
        self._connection.run(self._channel.stop)
        self._on_close(self)

    def _has_something(self) -> bool:
        return self._is_woken or self._is_closed or bool(self._problems) or any(self._waiting.values())

    def _take(self, limit: int) -> list[_Arrived]:
        taken: list[_Arrived] = []
        for queue in self._order:
            waiting = self._waiting[queue]
            while waiting and len(taken) < limit:
                taken.append(waiting.popleft())
        self._order.rotate(-1)
        return taken

    def _read(self, arrived: Sequence[_Arrived]) -> list[RabbitMQEventDelivery]:
        deliveries: list[RabbitMQEventDelivery] = []
        for one in arrived:
            try:
                deliveries.append(RabbitMQEventDelivery(self._reading.read(one.body), one))
            except Undecodable as undecodable:
                self._bury(one, str(undecodable))
            except NotForUs as error:
                self._not_for_us = str(error)
                self._connection.run(partial(self._put_back, [one], NOT_FOR_US_SECONDS))
        return deliveries

    def _bury(self, arrived: _Arrived, reason: str) -> None:
        self._undertaker.bury(arrived.queue, arrived.body, reason, partial(self._buried, arrived))

    def _buried(self, arrived: _Arrived, error: str) -> None:
        if error:
            self._connection.run(partial(self._put_back, [arrived], NOT_FOR_US_SECONDS))
        else:
            self._connection.run(partial(self._ack, [arrived]))

    def _opened(self, channel: Channel) -> None:
        channel.basic_qos(prefetch_count=self._prefetch, callback=lambda _: None)
        channel.add_on_cancel_callback(partial(self._cancelled, channel))
        self._consume(channel)

    def _consume(self, channel: Channel) -> None:
        for queue in self._queues:
            if queue not in self._consumed:
                self._declarer.ensure(queue, partial(self._declared, channel, queue))

    def _declared(self, channel: Channel, queue: str, problem: str | None) -> None:
        if problem is None or channel is not self._channel.raw or not channel.is_open or queue in self._consumed:
            return
        if problem:
            self._connection.later(LOOK_AGAIN_SECONDS, partial(self._look_again, channel))
        else:
            channel.basic_consume(queue, partial(self._delivered, queue), callback=partial(self._consuming, queue))
        with self._lock:
            self._problems.pop(queue, None)
            if problem:
                self._problems[queue] = problem
                self._something_to_do.notify_all()

    def _look_again(self, channel: Channel) -> None:
        if channel is self._channel.raw and channel.is_open:
            self._consume(channel)

    def _consuming(self, queue: str, _frame: Any) -> None:
        self._channel.settled()
        with self._lock:
            self._consumed.add(queue)
            self._something_to_do.notify_all()

    def _cancelled(self, channel: Channel, _frame: Any) -> None:
        """A queue was deleted: which one is not said in its name, so all are asked for again on a new channel."""
        for queue in self._queues:
            self._declarer.forget(queue)
        if channel.is_open:
            channel.close()

    def _lost(self, code: int, _text: str) -> None:
        for queue in self._queues if code else ():
            self._declarer.forget(queue)
        self._in_hand.clear()
        with self._lock:
            self._consumed.clear()
            for waiting in self._waiting.values():
                waiting.clear()

    def _delivered(
        self, queue: str, channel: Channel, method: spec.Basic.Deliver, _properties: BasicProperties, body: bytes
    ) -> None:
        assert method.delivery_tag is not None
        arrived = _Arrived(channel, method.delivery_tag, queue, body)
        self._in_hand[arrived.tag] = arrived
        with self._lock:
            self._waiting[queue].append(arrived)
            self._something_to_do.notify()

    def _release(self, arrived: Sequence[_Arrived]) -> set[int]:
        """The tags of those that are still in hand, on the channel that is open."""
        channel = self._channel.raw
        if channel is None or not channel.is_open:
            return set()
        return {one.tag for one in arrived if one.channel is channel and self._in_hand.get(one.tag) is one}

    def _ack(self, arrived: Sequence[_Arrived]) -> None:
        tags = self._release(arrived)
        if not tags:
            return
        channel = self._channel.raw
        assert channel is not None
        oldest = 0
        for tag in self._in_hand:
            if tag not in tags:
                break
            oldest = tag
        if oldest:
            channel.basic_ack(oldest, multiple=True)
        for tag in tags:
            del self._in_hand[tag]
            if tag > oldest:
                channel.basic_ack(tag)

    def _put_back(self, arrived: Sequence[_Arrived], delay: float) -> None:
        tags = self._release(arrived)
        if not tags:
            return
        if delay > 0:
            self._connection.later(delay, partial(self._put_back, arrived, 0.0))
            return
        channel = self._channel.raw
        assert channel is not None
        for tag in sorted(tags):
            del self._in_hand[tag]
            channel.basic_nack(tag)


def _arrived(deliveries: Sequence[EventDelivery]) -> list[_Arrived]:
    return [delivery.arrived for delivery in deliveries if isinstance(delivery, RabbitMQEventDelivery)]
