"""`torkd rekey`: seals what the database holds and what waits in RabbitMQ with the key of now; or opens it all, to end encryption.

What was done goes to stdout, how far it is to stderr.
"""

from __future__ import annotations

import logging
import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from tork.errors import StartError
from torkd.broker_wiring import make_key_ring, resealing_broker
from torkd.coordinator_wiring import postgres_datastore
from torkd.database import configured_database
from torkd.datastore.postgres.migrations import check_schema
from torkd.settings import Loaded

if TYPE_CHECKING:
    from torkd.broker.rabbitmq import RabbitMQBroker
    from torkd.broker.rabbitmq.resealing import Rested
    from torkd.datastore.postgres.datastore import PostgresDatastore

DONE, LEFT = 0, 1
_TELL_EVERY_SECONDS = 2.0


def rekey(loaded: Loaded, *, dry_run: bool, clear: bool) -> int:
    """Do it, or only count; 0 when nothing is left to do.

    Raises `StartError` for keys that don't fit, `Unavailable` without the database or RabbitMQ.
    """
    settings = loaded.settings
    keys = make_key_ring(settings)
    if settings.datastore.type != "postgres":
        raise StartError(
            f"datastore.type is {settings.datastore.type}, and what a plugin stores is not sealed by torkd"
        )
    if clear and keys.is_sealing:
        raise StartError(
            "torkd rekey --clear, but datastore.encryption.key would seal it all again (right would be that key among "
            "datastore.encryption.older_keys, in every process)"
        )
    if not clear and not keys.is_sealing:
        raise StartError(
            "there is no key to seal with (right would be to set datastore.encryption.key; or torkd rekey --clear, to store "
            "everything in clear)"
        )
    logging.getLogger().addHandler(logging.NullHandler())
    with ExitStack() as opened:
        dsn = opened.enter_context(configured_database(loaded))
        check_schema(dsn)
        datastore = postgres_datastore(settings, dsn)
        datastore.open()
        opened.callback(datastore.close)
        broker = resealing_broker(settings)
        if broker is not None:
            opened.callback(broker.close)
            broker.open()
        rekeying = datastore.rekeying(clear=clear, tell=_Progress())

        if dry_run:
            waiting = _messages(broker, datastore, only_count=True)
            return _report(rekeying.count(), waiting.done if waiting else {}, "to do", DONE)
        rekeying.begin()
        result = rekeying.run()
        # After the rows: by now daemons have dealt with most of what they had in hand.
        rested = _messages(broker, datastore)
        done, left, damaged = (rested.done, rested.left, rested.damaged) if rested else ({}, {}, [])
        _report(result.done, done, "are in clear" if clear else "sealed anew", DONE)
        for sentence in [*result.damaged, *damaged]:
            sys.stderr.write(f"torkd: {sentence}\n")
        if any(result.left.values()) or left:
            return _report(result.left, left, "left: do it again", LEFT)
        rekeying.note_done()
    sys.stdout.write(
        "done: nothing that is stored or waits needs an older key any more. Remove older keys everywhere, if every coordinator and "
        "worker was restarted with the key of now before this\n"
    )
    return DONE


def _messages(
    broker: RabbitMQBroker | None, datastore: PostgresDatastore, *, only_count: bool = False
) -> Rested | None:
    """What waits there, sealed anew or counted."""
    if broker is None:
        return None
    return broker.reseal(datastore.queues_with_hand_outs(), only_count=only_count)


def _report(rows: dict[str, int], messages: dict[str, int], words: str, code: int) -> int:
    for table, count in rows.items():
        sys.stdout.write(f"{table}: {count} rows {words}\n")
    for queue, count in messages.items():
        sys.stdout.write(f"queue '{queue}': {count} messages {words}\n")
    return code


class _Progress:
    """Tells how far it is, now and then."""

    def __init__(self) -> None:
        self._next = time.monotonic() + _TELL_EVERY_SECONDS

    def __call__(self, table: str, seen: int, about: int) -> None:
        if time.monotonic() >= self._next:
            sys.stderr.write(f"torkd: {table}: {seen} of about {about} rows looked at\n")
            self._next = time.monotonic() + _TELL_EVERY_SECONDS
