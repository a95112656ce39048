"""Which database this process uses: one the operator named, or a private one that starts and ends with it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from tork.errors import DatastoreUnavailable
from torkd.datastore.embedded import attach, start_embedded
from torkd.datastore.postgres.migrations import migrate
from torkd.settings import Loaded

log = logging.getLogger(__name__)

DSN_KEY = "datastore.postgres.dsn"


@contextmanager
def database(loaded: Loaded, *, standalone: bool) -> Iterator[str]:
    """The DSN of a database with an up-to-date schema. An explicitly set DSN wins; its default counts outside standalone.

    To be entered before any fork, by the process that outlives the others. Raises `StartError` or `DatastoreUnavailable`.
    """
    settings = loaded.settings
    if not standalone or loaded.is_explicit(DSN_KEY) or settings.datastore.type != "postgres":
        dsn = settings.datastore.postgres.dsn
        if settings.datastore.type == "postgres":
            bring_up_to_date(dsn)
        yield dsn
        return
    server = start_embedded(settings.data.dir)
    try:
        bring_up_to_date(server.dsn)
        yield server.dsn
    finally:
        server.stop()


@contextmanager
def configured_database(loaded: Loaded) -> Iterator[str]:
    """The DSN of the database as it is: the named one; else the embedded one, where there is one; else the default one.

    An embedded one that does not run is started for the length of the block.
    """
    directory = loaded.settings.data.dir
    if loaded.is_explicit(DSN_KEY):
        yield loaded.settings.datastore.postgres.dsn
        return
    if not (directory / "postgres").exists():
        try:
            yield loaded.settings.datastore.postgres.dsn
        except DatastoreUnavailable as error:
            raise DatastoreUnavailable(
                f"{error}; {DSN_KEY} is not set, and no daemon has kept a database in data.dir {directory} (right would"
                " be the daemon's own settings, such as TORK_CONFIG and TORK_DATA_DIR, after its first start)"
            ) from error
        return
    running = attach(directory)
    if running is not None:
        yield running
        return
    server = start_embedded(directory)
    try:
        yield server.dsn
    finally:
        server.stop()


def migrate_configured(loaded: Loaded) -> list[str]:
    """Bring that database up to date."""
    with configured_database(loaded) as dsn:
        return migrate(dsn)


def bring_up_to_date(dsn: str) -> None:
    """Apply the migrations that are missing. Raises `StartError` and `DatastoreUnavailable`."""
    for name in migrate(dsn):
        log.info("applied migration %s", name)
