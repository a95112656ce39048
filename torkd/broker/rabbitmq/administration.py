"""What is asked of RabbitMQ now and then: figures, purges, dead letters, and the mark of the epoch."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection

from tork.dead_letter import DeadLetter
from tork.errors import NotFound
from tork.node import Queue
from tork.task import PRIVATE_QUEUE_PREFIX, is_task_queue
from torkd.broker.queues import DEAD
from torkd.broker.rabbitmq.burying import dead_letter, letter_id_of, replayed
from torkd.broker.rabbitmq.channel import LOCKED, NOT_FOUND
from torkd.broker.rabbitmq.connection import KeptConnection
from torkd.broker.rabbitmq.encoding import Encoding
from torkd.broker.rabbitmq.errand import Errand, Got, Refused
from torkd.broker.rabbitmq.management import Management, Total
from torkd.broker.rabbitmq.options import RabbitMQOptions
from torkd.broker.rabbitmq.publisher import Publisher
from torkd.broker.rabbitmq.resealing import Resealing, Rested
from torkd.broker.rabbitmq.topology import COORDINATOR_QUEUES, EPOCH_PREFIX, INTERNAL_PREFIX, queue_arguments

SERVER_NAMED_PREFIX = "amq."
MAX_LETTERS = 10_000
"""How many dead letters are looked through for one."""


class Administration:
    """Errands over one connection. Any thread may ask."""

    def __init__(
        self,
        connection: KeptConnection,
        publisher: Publisher,
        management: Management,
        encoding: Encoding,
        options: RabbitMQOptions,
    ) -> None:
        self._connection, self._publisher, self._management = connection, publisher, management
        self._encoding, self._options = encoding, options
        self._known: set[str] = set(COORDINATOR_QUEUES)
        """What there is to look at where the management API does not list it."""
        self._epochs: set[str] = set()
        """Marks of which we know, to be removed once another one counts."""
        self._looking = threading.Lock()
        """Two who look through the dead letters at once would hide them from each other."""

    def heard_of(self, queue: str) -> None:
        """There is such a queue."""
        self._known.add(queue)

    def queues(self, perhaps: Collection[str] = ()) -> list[Queue]:
        """Every queue with its figures, those of `perhaps` that are there among them: the management API lists a new one late.

        What is unacknowledged only the management API knows.
        """
        told = self._management.totals()
        figures: list[Queue] = []
        for name in self._names(perhaps, told):
            figures += self._look_at(name, (told or {}).get(name))
        return figures

    def purge(self, queue: str) -> None:
        """Drop what waits in a task queue."""
        if not is_task_queue(queue) or queue.startswith(INTERNAL_PREFIX):
            raise NotFound(f"there is no task queue '{queue}'")
        try:
            with self._errand() as errand:
                errand.purge(queue)
        except Refused as refused:
            if refused.code == NOT_FOUND:
                raise NotFound(f"there is no task queue '{queue}'") from None
            raise

    def has_epoch(self, epoch: str) -> bool:
        """Whether the mark is there; then the marks of others are of the past."""
        try:
            with self._errand() as errand:
                errand.declare(EPOCH_PREFIX + epoch, passive=True)
        except Refused as refused:
            if refused.code == NOT_FOUND:
                self._epochs.add(epoch)
                return False
            raise
        self._remove_marks(self._epochs - {epoch})
        self._epochs = {epoch}
        return True

    def mark_epoch(self, epoch: str) -> None:
        """Leave the mark. Those of before stay until this one counts: somebody else may have begun another epoch."""
        name = EPOCH_PREFIX + epoch
        with self._errand() as errand:
            errand.declare(name, arguments=queue_arguments(name, self._options))
        self._epochs.add(epoch)
        told = self._management.totals() or {}
        self._epochs.update(queue[len(EPOCH_PREFIX) :] for queue in told if queue.startswith(EPOCH_PREFIX))

    def dead_letters(self, limit: int) -> list[DeadLetter]:
        """At most `limit` of them; all are given back."""
        letters: list[DeadLetter] = []

        def look(_errand: Errand, got: Got) -> bool:
            tag, properties, body = got
            letters.append(dead_letter(properties, tag, body, self._encoding))
            return len(letters) >= limit

        if limit > 0:
            self._look_through(look)
        return letters

    def replay_dead(self, letter_id: str) -> None:
        """Publish it to its queue; only then it leaves the dead."""

        def replay(errand: Errand, got: Got) -> None:
            tag, properties, body = got
            self._publisher.publish([replayed(properties, body)])
            errand.ack(tag)

        self._with_letter(letter_id, replay)

    def remove_dead(self, letter_id: str) -> None:
        """Drop one."""
        self._with_letter(letter_id, lambda errand, got: errand.ack(got[0]))

    def purge_dead(self) -> int:
        """Drop all."""
        with self._looking, self._errand() as errand:
            return errand.purge(DEAD)

    def reseal(self, perhaps: Collection[str], *, only_count: bool) -> Rested:
        """Seal anew what waits in our queues and in those of `perhaps`, or count what is to be."""
        names = {*self._names(perhaps, self._management.totals()), *COORDINATOR_QUEUES}
        ours = sorted(name for name in names if not name.startswith(PRIVATE_QUEUE_PREFIX))
        with self._looking:
            return Resealing(self._publisher, self._encoding).run(
                ((name, self._errand()) for name in ours), only_count=only_count
            )

    def check_health(self) -> None:
        """Ask for something that has to be answered."""
        with self._errand() as errand:
            errand.declare(DEAD, passive=True)

    def _with_letter(self, letter_id: str, act: Callable[[Errand, Got], None]) -> None:
        was_found = False

        def look(errand: Errand, got: Got) -> bool:
            nonlocal was_found
            was_found = letter_id_of(got[1], got[0]) == letter_id
            if was_found:
                act(errand, got)
            return was_found

        self._look_through(look)
        if not was_found:
            raise NotFound(f"there is no dead letter '{letter_id}'")

    def _look_through(self, look: Callable[[Errand, Got], bool]) -> None:
        """Take one dead letter after the other until `look` has seen enough; give back what it has not acknowledged."""
        with self._looking, self._errand() as errand:
            for _ in range(MAX_LETTERS):
                got = errand.get(DEAD)
                if got is None or look(errand, got):
                    break
            errand.give_back(DEAD)

    def _names(self, perhaps: Collection[str], told: Collection[str] | None) -> list[str]:
        """The queues that are of interest to users."""
        names = sorted({*(self._known if told is None else told), *perhaps})
        return [name for name in names if not name.startswith((INTERNAL_PREFIX, SERVER_NAMED_PREFIX))]

    def _look_at(self, name: str, total: Total | None) -> list[Queue]:
        """The queue, or nothing if it has gone. Consumers are counted by the queue itself: the API's count is seconds old."""
        size, subscribers = (total.size, 1) if total is not None else (0, 1)
        if total is None or not name.startswith(PRIVATE_QUEUE_PREFIX):
            try:
                with self._errand() as errand:
                    size, subscribers = errand.declare(name, passive=True)
            except Refused as refused:
                if refused.code != LOCKED:  # that of another node, which alone may look at it, and reads it
                    if name not in COORDINATOR_QUEUES:
                        self._known.discard(name)
                    return []
        return [Queue(name=name, size=size, subscribers=subscribers, unacked=total.unacked if total else 0)]

    def _remove_marks(self, epochs: set[str]) -> None:
        for epoch in epochs:
            with self._errand() as errand:
                errand.delete(EPOCH_PREFIX + epoch)

    def _errand(self) -> Errand:
        return Errand(self._connection, seconds=self._options.wait)
