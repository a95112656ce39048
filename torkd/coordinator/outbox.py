"""The other end of the outbox: hand-outs that a crash or an outage left behind, and a broker that was wiped."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from torkd.broker.protocol import Broker
from torkd.datastore.protocol import Datastore

log = logging.getLogger(__name__)

LEFT_OVER_SECONDS = 5.0
"""Younger rows are on their way: whoever wrote them publishes them."""
CHUNK = 500
CHUNKS = 20
"""At a time: other things are due too."""
APART = timedelta(seconds=30)
"""Between two observations that a queue is empty."""


def send_leftovers(datastore: Datastore, broker: Broker) -> bool:
    """Publish what nobody has published, in chunks; whether there may be more."""
    for _ in range(CHUNKS):
        with datastore.leftovers(older_than_seconds=LEFT_OVER_SECONDS, limit=CHUNK) as tasks:
            if tasks:
                broker.publish_tasks(tasks)
        if not tasks:
            return False
    return True


class QueueWatch:
    """Finds hand-outs that a broker has lost: those that are older than two observations of their queue being empty, or gone.

    A long queue is no loss, so nothing is sent again for its age alone. Which queues there should be the database knows: a broker
    that was killed may have forgotten one, and an adapter one that it never heard of.
    """

    def __init__(self, datastore: Datastore, broker: Broker) -> None:
        self._datastore = datastore
        self._broker = broker
        self._empty_since: dict[str, datetime] = {}

    def look(self, now: datetime) -> int:
        """Look at every queue to which something is handed out; how many hand-outs were put into the outbox again."""
        expected = self._datastore.queues_with_hand_outs()
        sizes = {queue.name: queue.size for queue in self._broker.queues(expected)} if expected else {}
        since = {name: self._empty_since.get(name, now) for name in expected if not sizes.get(name, 0)}
        found = 0
        for name, moment in since.items():
            if now - moment >= APART:
                found += self._datastore.send_unseen_again(name, before=moment, limit=CHUNK)
                since[name] = now
        self._empty_since = since
        if found:
            log.warning("%s tasks had been handed out to queues that are empty: they are handed out again", found)
        return found


def check_epoch(datastore: Datastore, broker: Broker, new_id: Callable[[], str], *, starting: bool = False) -> bool:
    """Whether the broker had lost its contents: then everything that no run holds goes out again.

    That is no news when a broker that lives in this process is `starting`.

    Postgres names an epoch, and the broker holds its mark. Of several coordinators that find the mark missing, one begins
    the new epoch.
    """
    epoch = datastore.epoch()
    if epoch and broker.has_epoch(epoch):
        return False
    fresh = new_id()
    broker.mark_epoch(fresh)
    if not datastore.begin_epoch(fresh, expected=epoch):
        return False
    log.log(
        logging.WARNING if epoch and not starting else logging.DEBUG,
        "the broker holds nothing of before: tasks that are handed out and that no run holds are handed out again",
    )
    return True
