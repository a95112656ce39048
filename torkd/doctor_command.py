"""`torkd doctor`: database, broker and this machine, a line a check on stdout; the exit code says whether all is well."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tork.diagnosis import Check, Treatment
from tork.errors import DatastoreUnavailable
from torkd.broker.protocol import Broker
from torkd.broker_wiring import IN_MEMORY, check_broker, make_broker
from torkd.container_wiring import container_place
from torkd.coordinator_wiring import make_datastore, make_doctor
from torkd.database import DSN_KEY, configured_database
from torkd.datastore.postgres.migrations import check_schema
from torkd.doctor.doctor import Doctor
from torkd.doctor.host import HostPlaces, examine_host, treat_host
from torkd.extensions import Extensions
from torkd.settings import Loaded, Settings

WELL, WRONG = 0, 1


def doctor(loaded: Loaded, extensions: Extensions, *, fix: bool, dry_run: bool) -> int:
    """Check, and repair if that is wanted; the exit code. Raises `Unavailable` when a server does not answer."""
    settings = loaded.settings
    check_broker(settings, extensions)
    # Drivers log each attempt to connect; what is wrong is told in one line.
    logging.getLogger().addHandler(logging.NullHandler())
    treats = fix or dry_run
    found: list[Check] = []
    try:
        with _opened(loaded, extensions) as examiner:
            found += _treated(examiner.treat(dry_run=dry_run)) if treats else examiner.examine().checks
    except DatastoreUnavailable:
        if not _may_be_worker(loaded):
            raise
        _tell("-", "database", "datastore.postgres.dsn is not set: only this machine is looked at, as one of a worker")
    if settings.broker.type == IN_MEMORY:
        _tell("-", "broker", "it is in the daemon's memory: torkctl doctor asks the daemon")
    places = host_places(settings)
    found += _treated(treat_host(places, dry_run=dry_run)) if treats else examine_host(places).checks
    for check in found:
        advice = f" (right would be: {check.advice})" if check.advice else ""
        _tell("OK" if check.ok else "WRONG", check.name, check.message + advice)
    return WELL if all(check.ok for check in found) else WRONG


def _may_be_worker(loaded: Loaded) -> bool:
    """Whether this machine need not know the database: workers of a cluster don't."""
    return loaded.settings.broker.type != IN_MEMORY and not loaded.is_explicit(DSN_KEY)


def host_places(settings: Settings) -> HostPlaces:
    """Where daemons with these settings keep what could be left."""
    return HostPlaces(data=settings.data.dir, temp=settings.mounts.temp_dir, runs=container_place(settings, "").runs)


@contextmanager
def _opened(loaded: Loaded, extensions: Extensions) -> Iterator[Doctor]:
    settings = loaded.settings
    broker: Broker | None = None if settings.broker.type == IN_MEMORY else make_broker(settings, extensions)
    with configured_database(loaded) as dsn:
        if settings.datastore.type == "postgres":
            check_schema(dsn)
        datastore = make_datastore(settings, extensions, dsn)
        datastore.open()
        try:
            # Without the key nothing that is sealed can be judged, and nothing must be repaired.
            datastore.check_health()
            if broker is not None:
                broker.open()
                # Opening may be patient with a server that is away; a person who looks is not.
                broker.check_health()
            yield make_doctor(settings, datastore, broker)
        finally:
            if broker is not None:
                broker.close()
            datastore.close()


def _treated(treatment: Treatment) -> list[Check]:
    """Tell what was repaired; what is found afterwards."""
    verb = "would repair" if treatment.dry_run else "repaired"
    for repair in treatment.repairs:
        things = f" ({', '.join(repair.ids)})" if repair.ids else ""
        _tell("FIX", repair.name, f"{verb}: {repair.action}{things}")
    return treatment.after.checks


def _tell(word: str, name: str, text: str) -> None:
    sys.stdout.write(f"{word:<5} {name}: {' '.join(text.split())}\n")
