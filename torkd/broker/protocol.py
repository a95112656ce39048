"""The port to a message broker: what an adapter owes, and which errors it raises.

The broker is a doorbell: the database knows everything that must not be lost. An adapter may therefore deliver a message
twice, late or out of order, but while it lives it loses none that it has confirmed. It raises `tork.errors.BrokerUnavailable`
when it does not answer and nothing else. All methods may be called from any thread; a consumer belongs to the thread
that made it. Two duties concern order: within a task queue a higher priority goes first, and equal priorities go in the
order of publishing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from tork.dead_letter import DeadLetter
from tork.node import Queue
from torkd.broker.messages import CoordinatorMessage, LiveChanges, NodeOrder, RunTask


class TaskDelivery(Protocol):
    """A task in hand. Unless it is acknowledged it goes back to its queue when the consumer or the process ends."""

    @property
    def message(self) -> RunTask:
        """The task to run."""

    @property
    def redelivered(self) -> bool:
        """Whether the broker may have handed it to somebody before: such a run asks before it starts."""

    def ack(self) -> None:
        """It is dealt with. May be called while the task still runs (an early ack), from any thread, and twice.

        After an early ack the consumer must take no further message until `receive` is called again.
        """

    def requeue(self) -> None:
        """Put it back, first in its priority, to be delivered again as redelivered."""


class TaskConsumer(Protocol):
    """One slot of a worker: takes one task at a time, so that no message waits behind a busy slot."""

    def receive(self, timeout: float) -> TaskDelivery | None:
        """The next task, or None after `timeout` seconds. Takes nothing from the queue unless it returns it."""

    def close(self) -> None:
        """Take no more. What is in hand and not acknowledged goes back. Wakes a `receive` that waits; may be called from any thread."""


class EventDelivery(Protocol):
    """A message to the coordinators, in hand."""

    @property
    def message(self) -> CoordinatorMessage:
        """The message."""


class EventConsumer(Protocol):
    """Reads several queues of messages to the coordinators at once."""

    @property
    def is_reading(self) -> bool:
        """Whether what is sent would come. While it would not, silence says nothing about anybody."""

    def receive(self, limit: int, timeout: float) -> Sequence[EventDelivery]:
        """What is there, at most `limit`; waits up to `timeout` seconds for the first and for no further one."""

    def ack(self, deliveries: Sequence[EventDelivery]) -> None:
        """They are dealt with. Acknowledging twice, or after a reconnection, is harmless."""

    def put_back(self, deliveries: Sequence[EventDelivery], delay: float = 0.0) -> None:
        """Deliver them again, not before `delay` seconds from now."""

    def bury(self, delivery: EventDelivery, reason: str) -> None:
        """Move it to the `dead` queue with the reason, of which at least the first 1,000 characters are kept."""

    def wake(self) -> None:
        """Make a `receive` that waits return now. May be called from any thread."""

    def close(self) -> None:
        """Read no more. What is not acknowledged is delivered to others. May be called from any thread."""


class OrderConsumer(Protocol):
    """Reads the private queue of one node."""

    def receive(self, timeout: float) -> Sequence[NodeOrder]:
        """What is there, or nothing after `timeout` seconds. Orders count as dealt with when they are returned."""

    def close(self) -> None:
        """Read no more, and remove the queue. Wakes a `receive` that waits."""


class Subscription(Protocol):
    """An interest in live changes."""

    def close(self) -> None:
        """No more calls after this returns."""


class Broker(Protocol):
    """A message broker."""

    def open(self) -> None:
        """Connect. Called after any fork, and again only if it raised `BrokerUnavailable`: then it has left nothing behind."""

    def close(self) -> None:
        """Disconnect. Consumers still open are closed; everything unacknowledged goes back."""

    def publish_tasks(self, tasks: Sequence[RunTask]) -> None:
        """Put each on its own queue, made if it does not exist. Confirmed when this returns. Never waits for room."""

    def send_tasks(self, tasks: Sequence[RunTask], on_confirmed: Callable[[], None]) -> None:
        """As `publish_tasks`, without waiting: `on_confirmed` is called, from any thread, once all of them are confirmed.

        It is not called for what is lost, so whoever sends keeps what the tasks are made of until then. Raises
        `BrokerUnavailable` when nothing can be sent now.
        """

    def publish_events(self, messages: Sequence[CoordinatorMessage]) -> None:
        """Send to the coordinators. Confirmed when this returns (heartbeats, logs and progress need not be)."""

    def publish_orders(self, node_id: str, orders: Sequence[NodeOrder]) -> None:
        """Send to one node. Lost when nobody reads its queue: heartbeats repeat what matters."""

    def publish_live(self, changes: LiveChanges) -> None:
        """Tell every subscriber in every process, this one included. May be lost: subscribers check from time to time."""

    def consume_tasks(self, queue: str) -> TaskConsumer:
        """A new slot on a task queue, made if it does not exist."""

    def consume_events(self, queues: Collection[str], *, most_in_hand: int | None = None) -> EventConsumer:
        """A new reader of these queues. It has at most so many messages in hand: nobody else gets those of one that hangs."""

    def consume_orders(self, node_id: str) -> OrderConsumer:
        """The reader of the node's private queue."""

    def subscribe(self, listener: Callable[[LiveChanges | None], None]) -> Subscription:
        """Call `listener` from a thread of the broker's for every change; with None when some may have been missed."""

    def queues(self, perhaps: Collection[str] = ()) -> list[Queue]:
        """Every queue with its depth, consumers and unacknowledged messages.

        An adapter that can't list what its server has tells of those that it has heard of, and of those of `perhaps` that are there.
        """

    def purge(self, queue: str) -> None:
        """Drop what waits in a task queue; its consumers stay. Raises `tork.errors.NotFound` for an unknown queue."""

    def dead_letters(self, limit: int) -> list[DeadLetter]:
        """What is in the `dead` queue, at most `limit`, those first that were buried first. All of it stays there."""

    def replay_dead(self, letter_id: str) -> None:
        """Put it back into the queue it came from, to be handled again. Raises `tork.errors.NotFound` for an unknown id."""

    def remove_dead(self, letter_id: str) -> None:
        """Drop it for good. Raises `tork.errors.NotFound` for an unknown id."""

    def purge_dead(self) -> int:
        """Drop all of them for good; how many that were."""

    def has_epoch(self, epoch: str) -> bool:
        """Whether the broker still holds the mark of this epoch. If not, it was wiped (or is new) and messages are lost."""

    def mark_epoch(self, epoch: str) -> None:
        """Leave the mark of this epoch, to last as long as messages do."""

    def check_health(self) -> None:
        """Returns when the broker works. Raises `BrokerUnavailable`."""
