"""The other end of the outbox: hand-outs that a crash or an outage left behind, and a broker that was wiped."""

from __future__ import annotations

import logging
from collections.abc import Callable

from torkd.broker.protocol import Broker
from torkd.datastore.protocol import Datastore

log = logging.getLogger(__name__)

LEFT_OVER_SECONDS = 5.0
"""Younger rows are on their way: whoever wrote them publishes them."""
CHUNK = 500


def send_leftovers(datastore: Datastore, broker: Broker) -> int:
    """Publish what nobody has published; how many there were."""
    total = 0
    while True:
        with datastore.leftovers(older_than_seconds=LEFT_OVER_SECONDS, limit=CHUNK) as tasks:
            if tasks:
                broker.publish_tasks(tasks)
        total += len(tasks)
        if len(tasks) < CHUNK:
            return total


def check_epoch(datastore: Datastore, broker: Broker, new_id: Callable[[], str]) -> bool:
    """Whether the broker had lost its contents: then everything that no run holds goes out again.

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
    log.info("the broker is new or was wiped: what it held is handed out again")
    return True
