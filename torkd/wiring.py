"""A standalone engine: coordinator, worker and API of one process, put together.

Comes in: settings and the database's address; goes out: an engine whose parts know each other, not yet started. An engine is
made after any fork, since its pools, threads and connections do not survive one.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

from torkd.api.streams import StreamHub
from torkd.broker.protocol import Broker
from torkd.broker_wiring import IN_MEMORY, make_broker
from torkd.closing import close_all
from torkd.coordinator.coordinator import Coordinator
from torkd.coordinator_wiring import make_coordinator
from torkd.datastore.protocol import Datastore
from torkd.endpoints import Wsgi
from torkd.extensions import Extensions
from torkd.node_identity import NodeIdentity
from torkd.runtime.protocol import Runtime
from torkd.settings import Settings
from torkd.tracing.opening import closing_of, open_tracing
from torkd.tracing.protocol import Tracing
from torkd.worker.worker import Worker
from torkd.worker_wiring import make_worker

log = logging.getLogger(__name__)


PREDECESSOR_SECONDS = 10.0
"""How long a daemon waits for its predecessor's worker id: a process whose parent was killed notices within seconds."""


@dataclass(slots=True)
class Engine:
    """A standalone engine: coordinator, worker and API over one broker and one datastore."""

    datastore: Datastore
    broker: Broker
    runtime: Runtime
    coordinator: Coordinator
    worker: Worker
    app: Wsgi
    streams: StreamHub
    drain_seconds: float
    is_private: bool = False
    identities: list[NodeIdentity] = field(default_factory=list)
    tracing: Tracing | None = None

    def start(self) -> None:
        """Connect, and start the threads. A private engine knows nothing of earlier ones."""
        self.datastore.open()
        if self.is_private:
            self.datastore.forget_everything()
        self.broker.open()
        self.coordinator.start(self.worker.prepare())
        self.worker.start()

    def drain(self, *, short: bool = False) -> None:
        """Take no more tasks, give those that run their time, hand back what is left. Returns when that is done.

        A daemon that gives them no time means to be back: what can go on without it is left as it is.
        """
        seconds = 0.0 if short else self.drain_seconds
        leave = not short and not self.is_private and not self.drain_seconds
        log.info("draining: no more tasks are taken, %d running ones get %g s", self.worker.running_count, seconds)
        self.worker.drain(seconds, leave=leave)
        log.info("drained")

    def leave(self) -> None:
        """End as if killed: what can go on without this process is left to its successor."""
        self.worker.drain(0.0, leave=not self.is_private)

    def end_streams(self) -> None:
        """End the answers that last."""
        self.streams.close()

    def reload(self, settings: Settings) -> None:
        """Have as many slots as the settings say now."""
        self.worker.set_queues(settings.worker.queues)

    def close(self) -> None:
        """Stop what still runs, write what is in hand, disconnect. A private engine leaves no job behind."""
        close_all(
            self.streams.close,
            self.worker.stop,
            self.coordinator.stop,
            *closing_of(self.tracing),
            *((self.datastore.forget_everything,) if self.is_private else ()),
            self.runtime.close,
            self.broker.close,
            self.datastore.close,
            *(identity.release for identity in self.identities),
        )


def make_engine(
    settings: Settings,
    *,
    dsn: str,
    runtime_type: str,
    port: int,
    extensions: Extensions,
    is_private: bool = False,
    environ: Mapping[str, str] = os.environ,
) -> Engine:
    """A standalone engine on the database at `dsn`, whose schema is up to date."""
    with ExitStack() as undone:  # what a part holds is let go when a later one can't be made
        broker = make_broker(settings, extensions)
        tracing = None if is_private else open_tracing()
        for close in closing_of(tracing):
            undone.callback(close)
        work = make_worker(
            settings,
            broker,
            runtime_type=runtime_type,
            extensions=extensions,
            forgets_runs=is_private,
            patience_seconds=0.0 if is_private else PREDECESSOR_SECONDS,
            environ=environ,
            tracing=tracing,
        )
        undone.callback(work.identity.release)
        undone.callback(work.runtime.close)
        parts = make_coordinator(
            settings,
            broker,
            dsn=dsn,
            port=port,
            extensions=extensions,
            indicators={"runtime": work.runtime.check_health},
            broker_is_ours=settings.broker.type == IN_MEMORY,
            is_private=is_private,
            tracing=tracing,
        )
        undone.pop_all()
    return Engine(
        datastore=parts.datastore,
        broker=broker,
        runtime=work.runtime,
        coordinator=parts.coordinator,
        worker=work.worker,
        streams=parts.streams,
        app=parts.app,
        drain_seconds=settings.worker.drain.total_seconds(),
        is_private=is_private,
        identities=[parts.identity, work.identity],
        tracing=tracing,
    )
