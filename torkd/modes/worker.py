"""`torkd run worker`: runs tasks for coordinators elsewhere. It needs the broker, and never a database."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import torkd
from tork.errors import BrokerUnavailable
from torkd.api.app import create_health_app
from torkd.api.application import App
from torkd.api.listener import worker_place
from torkd.api.options import api_options
from torkd.broker.protocol import Broker
from torkd.broker_wiring import check_shared_broker, make_broker
from torkd.checks import Checks
from torkd.closing import close_all
from torkd.extensions import Extensions
from torkd.serving import Mode, open_door, serve_mode
from torkd.settings import Loaded, Settings
from torkd.starting import Starter
from torkd.tracing.opening import closing_of, open_tracing
from torkd.tracing.protocol import Tracing
from torkd.worker_wiring import WorkerParts, make_worker

log = logging.getLogger(__name__)


@dataclass(slots=True)
class WorkerDaemon:
    """The worker of one process. Serves its health while the broker is away."""

    parts: WorkerParts
    broker: Broker
    starter: Starter
    app: App
    drain_seconds: float
    tracing: Tracing | None = None

    def start(self) -> bool:
        """Start what can be started now."""
        return self.starter.start()

    def drain(self, *, short: bool = False) -> None:
        """Take no more tasks, give those that run their time, hand back what is left. Returns when that is done.

        A daemon that gives them no time means to be back: what can go on without it is left as it is.
        """
        self.starter.stop()
        seconds = 0.0 if short else self.drain_seconds
        worker = self.parts.worker
        log.info("draining: no more tasks are taken, %d running ones get %g s", worker.running_count, seconds)
        worker.drain(seconds, leave=not short and not self.drain_seconds)
        log.info("drained")

    def end_streams(self) -> None:
        """It has none."""

    def leave(self) -> None:
        """End as if killed: what can go on without this process is left to its successor."""
        self.starter.stop()
        self.parts.worker.drain(0.0, leave=True)

    def close(self) -> None:
        """Stop what still runs, and disconnect."""
        close_all(
            self.starter.stop,
            self.parts.worker.stop,
            *closing_of(self.tracing),
            self.parts.runtime.close,
            self.broker.close,
            self.parts.identity.release,
        )

    def reload(self, settings: Settings) -> None:
        """Have as many slots as the settings say now."""
        self.parts.worker.set_queues(settings.worker.queues)


def serve_worker(loaded: Loaded, extensions: Extensions) -> int:
    """Serve until a signal ends it; the exit code. Raises `StartError`, with nothing started."""
    settings = loaded.settings
    check_shared_broker(settings, extensions, "worker")
    runtime_type = loaded.runtime_type(standalone=False)
    listener = open_door(loaded, worker_place(settings.worker.address))
    mode = Mode(
        make=lambda port: make_worker_daemon(settings, extensions, port, runtime_type=runtime_type),
        drain_seconds=(settings.worker.drain + settings.worker.grace).total_seconds(),
    )
    return serve_mode(extensions, listener, mode, runtime=runtime_type)


def make_worker_daemon(settings: Settings, extensions: Extensions, port: int, *, runtime_type: str) -> WorkerDaemon:
    """The worker of this process."""
    broker = make_broker(settings, extensions)
    tracing = open_tracing()
    parts = make_worker(settings, broker, runtime_type=runtime_type, extensions=extensions, port=port, tracing=tracing)
    starter = Starter(broker.open, lambda: _start(parts, broker))
    checks = Checks({"broker": broker.check_health, "runtime": parts.runtime.check_health, "start": starter.check})
    app = create_health_app(torkd.__version__, checks, api_options(settings))
    return WorkerDaemon(parts, broker, starter, app, settings.worker.drain.total_seconds(), tracing)


def _start(parts: WorkerParts, broker: Broker) -> None:
    """Runs of a predecessor are claimed before anything else is: their old lease may be about to end."""
    claims = parts.worker.prepare()
    parts.worker.start()
    if claims:
        try:
            broker.publish_events(claims)
        except BrokerUnavailable as error:
            log.warning("the claims to runs of before go out with the heartbeats: %s", error)
