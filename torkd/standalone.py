"""A private engine within this process, for `torkctl run`: no daemon, nothing to set up, nothing left running.

It has a database of its own, in the first `run-N` below the data directory that nobody uses, so that it disturbs neither a
daemon nor another run.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from torkd.coordinator_wiring import without_sign_in
from torkd.datastore.embedded import start_in_free_run_directory
from torkd.datastore.postgres.migrations import migrate
from torkd.extensions import Extensions
from torkd.private_server import PrivateServer
from torkd.settings import load_settings
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
    environ: Mapping[str, str] = os.environ,
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
    loaded = load_settings(environ, cwd=Path.cwd(), home=Path.home(), known_runtimes=tuple(extensions.runtimes))
    server = start_in_free_run_directory(data_directory or loaded.settings.data.dir)
    try:
        migrate(server.dsn)
        worker = replace(
            loaded.settings.worker, queues=dict.fromkeys({"default", *queues, *loaded.settings.worker.queues}, SLOTS)
        )
        settings = without_sign_in(
            replace(loaded.settings, worker=worker, data=replace(loaded.settings.data, dir=server.base))
        )
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
