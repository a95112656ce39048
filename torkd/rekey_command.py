"""`torkd rekey`: seals what the database holds with the key of now; or opens it all, to end encryption.

What was done goes to stdout, how far it is to stderr.
"""

from __future__ import annotations

import logging
import sys
import time

from tork.errors import StartError
from torkd.broker_wiring import make_key_ring
from torkd.coordinator_wiring import postgres_datastore
from torkd.database import configured_database
from torkd.datastore.postgres.migrations import check_schema
from torkd.settings import Loaded

DONE, LEFT = 0, 1
_TELL_EVERY_SECONDS = 2.0


def rekey(loaded: Loaded, *, dry_run: bool, clear: bool) -> int:
    """Do it, or only count; 0 when nothing is left to do. Raises `StartError` for keys that don't fit, `Unavailable` without a database."""
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
    with configured_database(loaded) as dsn:
        check_schema(dsn)
        datastore = postgres_datastore(settings, dsn)
        datastore.open()
        try:
            rekeying = datastore.rekeying(clear=clear, tell=_Progress())
            if dry_run:
                return _report(rekeying.count(), "to do", DONE)
            began = rekeying.begin()
            result = rekeying.run()
            for table, count in result.done.items():
                sys.stdout.write(f"{table}: {count} rows {'are in clear' if clear else 'sealed anew'}\n")
            for sentence in result.damaged:
                sys.stderr.write(f"torkd: {sentence}\n")
            if any(result.left.values()):
                return _report(result.left, "left: do it again", LEFT)
            waiting = rekeying.waiting_messages(began)
        finally:
            datastore.close()
    kept = (
        "while queues hold messages of before"
        if not waiting
        else f"until {waiting} tasks that wait in queues have begun"
    )
    sys.stdout.write(
        f"done: nothing in the database needs an older key any more. Keep older keys {kept}, dead letters and running tasks included\n"
    )
    return DONE


def _report(rows: dict[str, int], words: str, code: int) -> int:
    for table, count in rows.items():
        sys.stdout.write(f"{table}: {count} rows {words}\n")
    return code


class _Progress:
    """Tells how far it is, now and then."""

    def __init__(self) -> None:
        self._next = time.monotonic() + _TELL_EVERY_SECONDS

    def __call__(self, table: str, seen: int, about: int) -> None:
        if time.monotonic() >= self._next:
            sys.stderr.write(f"torkd: {table}: {seen} of about {about} rows looked at\n")
            self._next = time.monotonic() + _TELL_EVERY_SECONDS
