"""A private engine within this process, for `torkctl run`: no daemon, nothing to set up, nothing left running.

It has a database of its own, in the first `run-N` below the data directory that nobody uses, its broker is in memory, and its API
whole, whatever the settings of this machine's daemon say: so it disturbs neither that one, nor a cluster, nor another run.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from torkd.broker_wiring import IN_MEMORY
from torkd.coordinator_wiring import without_sign_in
from torkd.datastore.embedded import start_in_free_run_directory
from torkd.datastore.postgres.migrations import migrate
from torkd.extensions import Extensions
from torkd.private_server import PrivateServer
from torkd.settings import Settings
from torkd.settings.sections.coordinator import Api
from torkd.switching import switch_often
from torkd.wiring import make_engine

SLOTS = 8
"""Tasks at once, from every queue of the job."""


@dataclass(frozen=True, slots=True)
class PrivateEngine:
    """Where the engine answers, and the key it asks for."""

    endpoint: str
    key: str


@contextmanager
def run_private(
    data_directory: Path | None = None,
    *,
    queues: frozenset[str] = frozenset(),
) -> Iterator[PrivateEngine]:
    """An engine for the length of the block. At its end what still runs is stopped.

    `queues` are those that the job names, besides the default one. Raises `StartError` and `SettingsError`.
    """
    switch_often()
    # What concerns the job is told by its client; the engine's own log has no reader here.
    logging.getLogger("torkd").addHandler(logging.NullHandler())
    logging.getLogger("torkd").propagate = False
    logging.getLogger("psycopg").propagate = False
    extensions = Extensions()
    extensions.load_plugins()
    extensions.seal()
    loaded = extensions.read_settings()
    server = start_in_free_run_directory(data_directory or loaded.settings.data.dir)
    try:
        migrate(server.dsn)
        settings = _private(loaded.settings, server.base, queues)
        runtime_type = settings.runtime.type if loaded.is_explicit("runtime.type") else "auto"
        engine = make_engine(
            settings, dsn=server.dsn, runtime_type=runtime_type, port=0, extensions=extensions, is_private=True
        )
        try:
            engine.start()
            http = PrivateServer(engine.app)
            try:
                yield PrivateEngine(http.endpoint, http.key)
            finally:
                engine.streams.close()
                http.close()
        finally:
            engine.close()
    finally:
        server.stop()


def _private(settings: Settings, directory: Path, queues: frozenset[str]) -> Settings:
    return without_sign_in(
        replace(
            settings,
            broker=replace(settings.broker, type=IN_MEMORY),
            datastore=replace(settings.datastore, type="postgres"),
            coordinator=replace(settings.coordinator, api=Api()),
            worker=replace(settings.worker, queues=dict.fromkeys({"default", *queues, *settings.worker.queues}, SLOTS)),
            data=replace(settings.data, dir=directory),
        )
    )
