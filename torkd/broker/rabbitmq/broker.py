"""The broker over RabbitMQ: which connections there are, and what goes over which.

Publishing and consuming have connections of their own, because RabbitMQ stops reading from a connection that publishes while its
memory or disk is short: acknowledgements must not wait there. Heartbeats have their own, so that no other traffic costs a lease.
Connections are made when they are first needed.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Collection, Sequence
from functools import partial
from itertools import groupby
from typing import Protocol, TypeVar

from pika import BasicProperties

from tork.dead_letter import DeadLetter
from tork.errors import BrokerUnavailable
from tork.node import Queue
from tork.task import MAX_PRIORITY
from torkd.broker.live import LocalSubscription
from torkd.broker.messages import CoordinatorMessage, Heartbeat, LiveChanges, LogPrinted, NodeOrder, RunTask
from torkd.broker.queues import HEARTBEAT, LOGS, node_queue, queue_of
from torkd.broker.rabbitmq.address import read_address
from torkd.broker.rabbitmq.administration import Administration
from torkd.broker.rabbitmq.burying import Undertaker
from torkd.broker.rabbitmq.connection import KeptConnection
from torkd.broker.rabbitmq.declaring import Declarer, Problems
from torkd.broker.rabbitmq.encoding import Encoding, message_properties
from torkd.broker.rabbitmq.errand import Refused
from torkd.broker.rabbitmq.events import PREFETCH, RabbitMQEventConsumer
from torkd.broker.rabbitmq.live import LiveReader
from torkd.broker.rabbitmq.management import Management
from torkd.broker.rabbitmq.options import RabbitMQOptions
from torkd.broker.rabbitmq.orders import RabbitMQOrderConsumer
from torkd.broker.rabbitmq.outage import Outage
from torkd.broker.rabbitmq.publisher import Outgoing, Publisher
from torkd.broker.rabbitmq.resealing import Rested
from torkd.broker.rabbitmq.tasks import RabbitMQTaskConsumer
from torkd.broker.rabbitmq.topology import COORDINATOR_QUEUES, LIVE_EXCHANGE
from torkd.sealing import SealedBodies

PUBLISH, BEAT, WORK = "publish", "beat", "work"
EVENTS = "events"
"""The connections by what they are for; heartbeats and logs are read over their own, too."""

_PRIORITIES = [message_properties(priority) for priority in range(MAX_PRIORITY + 1)]
_PLAIN = message_properties()


_T = TypeVar("_T")


class _Closable(Protocol):
    def close(self) -> None: ...


class RabbitMQBroker:
    """A `Broker` for many processes."""

    def __init__(self, options: RabbitMQOptions, *, seal: SealedBodies | None = None) -> None:
        """`seal` closes the bodies of messages. Raises `StartError` for a URL that can't be used."""
        self._options = options
        self._address = read_address(options.url)
        self._address.parameters("", options.heartbeat)
        self._encoding = Encoding(seal or SealedBodies())
        self._outage = Outage(str(self._address))
        self._problems = Problems()
        self._lock = threading.Lock()
        self._connections: dict[str, tuple[KeptConnection, Declarer]] = {}
        self._consumers: list[_Closable] = []
        self._is_open = False

    def open(self) -> None:
        """Connect, and make the coordinators' queues. Raises `BrokerUnavailable` when that is not possible now."""
        # Each failure of pika's becomes one of ours; what it says beside them is no news.
        logging.getLogger("pika").setLevel(logging.CRITICAL)
        self._is_open = True
        publish, declarer = self._connection(PUBLISH)
        self._publisher = Publisher(publish, declarer, wait=self._options.wait)
        self._publisher.start()
        self._beats = Publisher(*self._connection(BEAT), wait=self._options.wait)
        self._beats.start()
        self._undertaker = Undertaker(self._publisher, self._encoding)
        work, _ = self._connection(WORK)
        self._live = LiveReader(work, self._encoding.live)
        management = Management(self._options.management_url, self._address)
        self._administration = Administration(work, self._publisher, management, self._encoding, self._options)
        try:
            self._make_queues(publish, declarer)
            # Who asks for figures next would else be told that nobody is connected yet.
            work.wait_until_up(self._options.wait)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Disconnect: consumers are closed and nothing can be published any more."""
        with self._lock:
            if not self._is_open:
                return
            self._is_open = False
            consumers, self._consumers = self._consumers, []
            connections = [connection for connection, _ in self._connections.values()]
            self._connections = {}
        for consumer in consumers:
            consumer.close()
        self._live.close()
        self._publisher.close()
        self._beats.close()
        for connection in connections:
            connection.begin_close()
        for connection in connections:
            connection.close()

    def publish_tasks(self, tasks: Sequence[RunTask]) -> None:
        """Put each on its own queue."""
        self._raise_if_closed()
        self._publisher.publish(self._hand_outs(tasks))

    def send_tasks(self, tasks: Sequence[RunTask], on_confirmed: Callable[[], None]) -> None:
        """The same, without waiting for the confirmation while there is room for what is not confirmed."""
        self._raise_if_closed()
        outgoing = self._hand_outs(tasks)
        if self._publisher.has_room:
            self._publisher.send(outgoing, lambda error: None if error else on_confirmed())
            return
        self._publisher.publish(outgoing)
        on_confirmed()

    def _hand_outs(self, tasks: Sequence[RunTask]) -> list[Outgoing]:
        for queue in {task.queue for task in tasks}:
            self._administration.heard_of(queue)
        write = self._encoding.write
        return [Outgoing(task.queue, write(task), _task_properties(task.priority)) for task in tasks]

    def publish_events(self, messages: Sequence[CoordinatorMessage]) -> None:
        """Send to the coordinators."""
        self._raise_if_closed()
        for is_heartbeat, group in groupby(messages, lambda message: isinstance(message, Heartbeat)):
            publisher = self._beats if is_heartbeat else self._publisher
            for step in _steps(list(group)):
                publisher.publish([self._event(message) for message in step])

    def publish_orders(self, node_id: str, orders: Sequence[NodeOrder]) -> None:
        """Send to one node."""
        self._raise_if_closed()
        queue = node_queue(node_id)
        self._publisher.post(
            [Outgoing(queue, self._encoding.write(order), _PLAIN, is_mandatory=False) for order in orders]
        )
        self._administration.heard_of(queue)

    def publish_live(self, changes: LiveChanges) -> None:
        """Tell every subscriber."""
        self._raise_if_closed()
        body = self._encoding.write(changes)
        self._publisher.post([Outgoing("", body, _PLAIN, exchange=LIVE_EXCHANGE, is_mandatory=False)])

    def consume_tasks(self, queue: str) -> RabbitMQTaskConsumer:
        """A new slot on a task queue."""
        connection, declarer = self._connection(WORK)
        slot = RabbitMQTaskConsumer(
            queue,
            connection,
            declarer,
            self._encoding.tasks,
            self._undertaker,
            arguments={"x-consumer-timeout": int(self._options.consumer_timeout * 1000)},
            on_close=self._forget,
        )
        self._keep(slot)
        slot.start(self._options.wait)
        self._administration.heard_of(queue)
        return slot

    def consume_events(self, queues: Collection[str], *, most_in_hand: int | None = None) -> RabbitMQEventConsumer:
        """A new reader of these queues."""
        own = set(queues) & {HEARTBEAT, LOGS}
        connection, declarer = self._connection(own.pop() if len(queues) == len(own) == 1 else EVENTS)
        reader = RabbitMQEventConsumer(
            queues,
            connection,
            declarer,
            self._encoding.events,
            self._undertaker,
            on_close=self._forget,
            prefetch=most_in_hand or PREFETCH,
        )
        self._keep(reader)
        reader.start(self._options.wait)
        return reader

    def consume_orders(self, node_id: str) -> RabbitMQOrderConsumer:
        """The reader of the node's private queue."""
        connection, _ = self._connection(WORK)
        reader = RabbitMQOrderConsumer(
            node_id, connection, self._encoding.orders, self._undertaker, on_close=self._forget
        )
        self._keep(reader)
        reader.start(self._options.wait)
        self._administration.heard_of(node_queue(node_id))
        return reader

    def subscribe(self, listener: Callable[[LiveChanges | None], None]) -> LocalSubscription:
        """Call `listener` for every change."""
        self._raise_if_closed()
        connection, _ = self._connection(WORK)
        return self._live.subscribe(listener, self._options.wait if connection.is_up else 0.0)

    def queues(self, perhaps: Collection[str] = ()) -> list[Queue]:
        """Every queue with its figures."""
        return self._ask(lambda administration: administration.queues(perhaps))

    def purge(self, queue: str) -> None:
        """Drop what waits in a task queue; its consumers stay."""
        self._ask(lambda administration: administration.purge(queue))

    def dead_letters(self, limit: int) -> list[DeadLetter]:
        """What was buried, with the reasons."""
        return self._ask(lambda administration: administration.dead_letters(limit))

    def replay_dead(self, letter_id: str) -> None:
        """Put it back into the queue it came from."""
        self._ask(lambda administration: administration.replay_dead(letter_id))

    def remove_dead(self, letter_id: str) -> None:
        """Drop it for good."""
        self._ask(lambda administration: administration.remove_dead(letter_id))

    def purge_dead(self) -> int:
        """Drop all of them for good."""
        return self._ask(lambda administration: administration.purge_dead())

    def reseal(self, perhaps: Collection[str] = (), *, only_count: bool = False) -> Rested:
        """Seal anew what waits, `perhaps` in these queues among others, or only count it. Beside daemons, and begun again at any time."""
        return self._ask(lambda administration: administration.reseal(perhaps, only_count=only_count))

    def has_epoch(self, epoch: str) -> bool:
        """Whether RabbitMQ was marked with this epoch since it was last empty."""
        return self._ask(lambda administration: administration.has_epoch(epoch))

    def mark_epoch(self, epoch: str) -> None:
        """Leave the mark."""
        self._ask(lambda administration: administration.mark_epoch(epoch))

    def check_health(self) -> None:
        """Returns when RabbitMQ answers and takes messages, and all queues and what comes out of them can be used."""
        self._ask(lambda administration: administration.check_health())
        if problem := self._problems.first() or self._encoding.missing_keys.sentence():
            raise BrokerUnavailable(problem)
        connection, _ = self._connection(PUBLISH)
        if not connection.is_up:
            raise BrokerUnavailable(f"RabbitMQ at {self._address} can't be reached: {connection.trouble}")
        if connection.is_blocked:
            raise BrokerUnavailable(f"RabbitMQ at {self._address} takes no messages now: its memory or disk is short")

    def _ask(self, question: Callable[[Administration], _T]) -> _T:
        self._raise_if_closed()
        try:
            return question(self._administration)
        except Refused as refused:
            raise BrokerUnavailable(f"RabbitMQ at {self._address} refuses: {refused.text}") from None

    def _make_queues(self, connection: KeptConnection, declarer: Declarer) -> None:
        if not connection.wait_until_up(self._options.wait):
            raise BrokerUnavailable(f"RabbitMQ at {self._address} can't be reached: {connection.trouble}")
        problems: list[str | None] = []
        told = threading.Semaphore(0)

        def declared(problem: str | None) -> None:
            problems.append(problem)
            told.release()

        for queue in COORDINATOR_QUEUES:
            connection.run(partial(declarer.ensure, queue, declared))
        for _ in COORDINATOR_QUEUES:
            if not told.acquire(timeout=self._options.wait):
                raise BrokerUnavailable(f"RabbitMQ at {self._address} does not answer")
        for problem in problems:
            if problem is None:
                raise BrokerUnavailable(f"RabbitMQ at {self._address} can't be reached: {connection.trouble}")
            if problem:
                raise BrokerUnavailable(problem)

    def _event(self, message: CoordinatorMessage) -> Outgoing:
        return Outgoing(queue_of(message), self._encoding.write(message), _PLAIN)

    def _connection(self, name: str) -> tuple[KeptConnection, Declarer]:
        self._raise_if_closed()
        with self._lock:
            found = self._connections.get(name)
            if found is None:
                parameters = self._address.parameters(f"torkd {name} {os.getpid()}", self._options.heartbeat)
                connection = KeptConnection(name, parameters, self._outage)
                declarer = Declarer(
                    connection,
                    self._options,
                    self._address.virtual_host,
                    self._problems,
                    always=COORDINATOR_QUEUES if name == PUBLISH else (),
                )
                found = self._connections[name] = connection, declarer
                connection.start()
                connection.run(declarer.start)
        return found

    def _raise_if_closed(self) -> None:
        if not self._is_open:
            raise BrokerUnavailable(
                f"the connection to RabbitMQ at {self._address} is not open "
                "(right would be to use the broker between open and close)"
            )

    def _keep(self, consumer: _Closable) -> None:
        with self._lock:
            self._consumers.append(consumer)

    def _forget(self, consumer: _Closable) -> None:
        with self._lock:
            if consumer in self._consumers:
                self._consumers.remove(consumer)


def _steps(messages: list[CoordinatorMessage]) -> list[list[CoordinatorMessage]]:
    """What may be on its way together. Log parts follow one another, so that one that has to wait holds up those behind it."""
    steps: list[list[CoordinatorMessage]] = [[]]
    has_log = False
    for message in messages:
        is_log = isinstance(message, LogPrinted)
        if is_log and has_log:
            steps.append([])
        has_log = has_log or is_log
        steps[-1].append(message)
    return steps


def _task_properties(priority: int) -> BasicProperties:
    return _PRIORITIES[min(max(priority, 0), MAX_PRIORITY)]
