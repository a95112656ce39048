"""`torkd run standalone`: the port, the database, and the process that serves, put together.

The parent process holds what must outlive the serving one: the listening socket and the database's keeper. The engine is made
in the serving process, after the fork, and again in its successor when one dies.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

import torkd
from torkd.api.listener import coordinator_place, listen
from torkd.api.served import Served
from torkd.api.server import ServerOptions, serve
from torkd.banner import show_banner
from torkd.database import database
from torkd.extensions import Extensions
from torkd.logs import configure_logging, set_level
from torkd.settings import Loaded, load_settings
from torkd.standalone import SWITCH_INTERVAL
from torkd.wiring import Engine, check_supported, make_engine

log = logging.getLogger(__name__)


def serve_standalone(loaded: Loaded, extensions: Extensions) -> int:
    """Serve until a signal ends it; the exit code. Raises `StartError` and `DatastoreUnavailable`, with nothing started."""
    settings = loaded.settings
    check_supported(settings, extensions)
    configure_logging(settings.logging.level, settings.logging.format)
    listener = listen(coordinator_place(settings.coordinator.address))
    # Asked now: gunicorn takes the socket over.
    port, endpoint = listener.port, listener.endpoint
    show_banner(settings.cli.banner_mode, version=torkd.__version__, stdout=sys.stdout, stderr=sys.stderr)
    with database(loaded, standalone=True) as dsn:

        def start() -> Served:
            sys.setswitchinterval(SWITCH_INTERVAL)
            engine = make_engine(
                settings,
                dsn=dsn,
                runtime_type=loaded.runtime_type(standalone=True),
                port=port,
                extensions=extensions,
            )
            engine.start()
            log.info("serving on %s", endpoint, extra={"runtime": loaded.runtime_type(standalone=True)})
            return Served(
                app=engine.app,
                drain=engine.drain,
                end_streams=engine.streams.close,
                leave=engine.leave,
                close=engine.close,
                reload=lambda: _reload(engine),
            )

        code = serve(
            listener,
            ServerOptions(drain_seconds=(settings.worker.drain + settings.worker.grace).total_seconds()),
            start=start,
        )
    log.info("stopped")
    return code


def _reload(engine: Engine) -> None:
    """Read again what can change while running: the logging level and the worker's queue sizes."""
    loaded = load_settings(os.environ, cwd=Path.cwd(), home=Path.home())
    set_level(loaded.settings.logging.level)
    engine.worker.set_queues(loaded.settings.worker.queues)
    log.info(
        "read the settings again: level %s, queues %s",
        loaded.settings.logging.level,
        dict(loaded.settings.worker.queues),
    )
