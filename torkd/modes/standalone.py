"""`torkd run standalone`: coordinator, worker, API and database in one process tree, with nothing to set up."""

from __future__ import annotations

import sys

from torkd.api.listener import coordinator_place
from torkd.broker_wiring import check_broker
from torkd.coordinator_wiring import with_api_key
from torkd.database import database
from torkd.extensions import Extensions
from torkd.serving import Mode, open_door, serve_mode, tls_of, warn_of_open_door
from torkd.settings import Loaded
from torkd.wiring import Engine, make_engine


def serve_standalone(loaded: Loaded, extensions: Extensions) -> int:
    """Serve until a signal ends it; the exit code. Raises `StartError` and `DatastoreUnavailable`, with nothing started."""
    settings = loaded.settings
    check_broker(settings, extensions)
    runtime_type = loaded.runtime_type(standalone=True)
    tls = tls_of(settings)
    listener = open_door(loaded, coordinator_place(settings.coordinator.address))
    warn_of_open_door(settings)
    settings = with_api_key(settings, sys.stderr.write)
    with database(loaded, standalone=True) as dsn:

        def make(port: int) -> Engine:
            return make_engine(settings, dsn=dsn, runtime_type=runtime_type, port=port, extensions=extensions)

        mode = Mode(
            make=make,
            drain_seconds=(settings.worker.drain + settings.worker.grace).total_seconds(),
            tls=tls,
            body_limit=settings.middleware.web.bodylimit,
        )
        return serve_mode(extensions, listener, mode, runtime=runtime_type)
