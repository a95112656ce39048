"""`torkd run coordinator`: the API and the engine over a database and a broker that others share.

Each serving process is a coordinator of its own, and none is special: any number of them may run, here and elsewhere.
"""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass

from torkd.api.listener import coordinator_place
from torkd.broker.protocol import Broker
from torkd.broker_wiring import check_shared_broker, make_broker
from torkd.closing import close_all
from torkd.coordinator.coordinator import STOP_SECONDS
from torkd.coordinator_wiring import CoordinatorParts, make_coordinator, with_api_key
from torkd.database import DSN_KEY, bring_up_to_date
from torkd.datastore.postgres.migrations import check_dsn
from torkd.endpoints import Wsgi
from torkd.extensions import Extensions
from torkd.metrics.sharing import shared_figures
from torkd.serving import Mode, open_door, serve_mode, tls_of, warn_of_open_door
from torkd.settings import Loaded, Settings
from torkd.starting import Starter
from torkd.tracing.opening import closing_of, open_tracing
from torkd.tracing.protocol import Tracing

log = logging.getLogger(__name__)

_CLOSE_SECONDS = 15.0
"""What disconnecting may take, beyond the end of the coordinator's threads."""


@dataclass(slots=True)
class CoordinatorDaemon:
    """One coordinator process. Serves while the database or the broker is away, as far as that goes."""

    parts: CoordinatorParts
    broker: Broker
    starter: Starter
    tracing: Tracing | None = None

    @property
    def app(self) -> Wsgi:
        """The API."""
        return self.parts.app

    def start(self) -> bool:
        """Start what can be started now."""
        return self.starter.start()

    def drain(self, *, short: bool = False) -> None:  # noqa: ARG002 -- a batch is never given up
        """Take no more events; requests are answered until `close`."""
        self.starter.stop()
        self.parts.coordinator.stop()

    def end_streams(self) -> None:
        """End the answers that last."""
        self.parts.streams.close()

    def leave(self) -> None:
        """Nothing is tied to this process: others go on."""

    def close(self) -> None:
        """Stop, and disconnect."""
        close_all(
            self.starter.stop,
            self.parts.streams.close,
            self.parts.coordinator.stop,
            *closing_of(self.tracing),
            self.broker.close,
            self.parts.datastore.close,
            self.parts.identity.release,
        )

    def reload(self, settings: Settings) -> None:
        """Nothing but the log level can change."""


def serve_coordinator(loaded: Loaded, extensions: Extensions) -> int:
    """Serve until a signal ends it; the exit code. Raises `StartError`, with nothing started."""
    settings = loaded.settings
    check_shared_broker(settings, extensions, "coordinator")
    if settings.datastore.type == "postgres":
        check_dsn(settings.datastore.postgres.dsn)
        if not loaded.is_explicit(DSN_KEY):
            log.warning("%s is not set: the database is looked for where its default says, on this machine", DSN_KEY)
    tls = tls_of(settings)
    listener = open_door(loaded, coordinator_place(settings.coordinator.address))
    warn_of_open_door(settings)
    settings = with_api_key(settings, sys.stderr.write)
    mode = Mode(
        make=lambda port: make_coordinator_daemon(settings, extensions, port),
        drain_seconds=STOP_SECONDS + _CLOSE_SECONDS,
        processes=settings.coordinator.processes,
        tls=tls,
        body_limit=settings.middleware.web.bodylimit,
    )
    with shared_figures(mode.processes):
        return serve_mode(extensions, listener, mode)


def make_coordinator_daemon(settings: Settings, extensions: Extensions, port: int) -> CoordinatorDaemon:
    """The coordinator of this process."""
    broker = make_broker(settings, extensions)
    dsn = settings.datastore.postgres.dsn
    starter = Starter()
    tracing = open_tracing()
    parts = make_coordinator(
        settings,
        broker,
        dsn=dsn,
        port=port,
        extensions=extensions,
        indicators={"start": starter.check},
        broker_is_ours=False,
        tracing=tracing,
    )
    if settings.datastore.type == "postgres":
        starter.add(lambda: bring_up_to_date(dsn))
    # Whoever lacks the key to what is stored must take no message: others can handle it.
    starter.add(parts.datastore.open, parts.datastore.check_health, broker.open, parts.coordinator.start)
    return CoordinatorDaemon(parts, broker, starter, tracing)
