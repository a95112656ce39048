"""The one place that picks adapters. Everybody else takes what they need as arguments.

Comes in: settings and the database's address; goes out: an engine whose parts know each other, not yet started. An engine is
made after any fork, since its pools, threads and connections do not survive one.
"""

from __future__ import annotations

import logging
import os
import socket
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torkd
from tork.errors import StartError, TorkError
from torkd.api.app import ApiDependencies, App, create_app
from torkd.api.options import api_options, unsupported_sentence, unsupported_settings
from torkd.api.streams import Doorbell, StreamHub
from torkd.broker.memory import MemoryBroker
from torkd.broker.protocol import Broker
from torkd.container_wiring import DOCKER, PODMAN, ContainerPlace, container_place, make_containers
from torkd.coordinator.coordinator import Coordinator, utc_now
from torkd.coordinator.options import CoordinatorOptions
from torkd.datastore.postgres.datastore import PostgresDatastore
from torkd.datastore.postgres.pool import PoolOptions
from torkd.datastore.protocol import Datastore
from torkd.doctor.doctor import Doctor, DoctorOptions
from torkd.extensions import Extensions
from torkd.hooks.redact import Redactor
from torkd.node_identity import NodeIdentity, claim_identity
from torkd.runtime.auto import AutoRuntime
from torkd.runtime.protocol import Runtime
from torkd.runtime.shell import ShellOptions, ShellRuntime
from torkd.settings import Settings
from torkd.worker.options import WorkerOptions
from torkd.worker.worker import Worker

log = logging.getLogger(__name__)

FOREVER_SECONDS = 10 * 365 * 24 * 3600.0


def new_id() -> str:
    """A new id for jobs, tasks and runs: 32 hexadecimal characters."""
    return uuid.uuid4().hex


@dataclass(slots=True)
class Engine:
    """A standalone engine: coordinator, worker and API over one broker and one datastore."""

    datastore: Datastore
    broker: Broker
    runtime: Runtime
    coordinator: Coordinator
    worker: Worker
    app: App
    streams: StreamHub
    drain_seconds: float
    is_private: bool = False
    identities: list[NodeIdentity] = field(default_factory=list)

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

    def close(self) -> None:
        """Stop what still runs, write what is in hand, disconnect. A private engine leaves no job behind."""
        for close in (
            self.streams.close,
            self.worker.stop,
            self.coordinator.stop,
            *((self.datastore.forget_everything,) if self.is_private else ()),
            self.runtime.close,
            self.broker.close,
            self.datastore.close,
            *(identity.release for identity in self.identities),
        ):
            try:
                close()
            except TorkError as error:
                log.warning("while stopping: %s", error)


def check_supported(settings: Settings, extensions: Extensions) -> None:
    """Raises `StartError` for what the settings ask for and this version can't do: starting anyway would mislead."""
    if keys := unsupported_settings(settings):
        raise StartError(unsupported_sentence(keys))
    if settings.datastore.encryption_key:
        raise StartError(
            "datastore.encryption.key is not supported by this version: remove it, nothing would be encrypted"
        )
    if settings.broker.type != "inmemory" and settings.broker.type not in extensions.brokers:
        raise StartError(
            f"broker.type '{settings.broker.type}' is not supported by this version: use inmemory, or a plugin"
        )


def make_datastore(settings: Settings, extensions: Extensions, dsn: str) -> Datastore:
    """The datastore the settings name."""
    make = extensions.datastores.get(settings.datastore.type)
    if make is not None:
        return make(settings.custom.get(f"datastore.{settings.datastore.type}", {}))
    postgres = settings.datastore.postgres
    return PostgresDatastore(
        PoolOptions(
            dsn=dsn,
            max_connections=postgres.max_open_conns,
            max_idle=postgres.max_idle_conns,
            max_lifetime=postgres.conn_max_lifetime.total_seconds() or FOREVER_SECONDS,
            max_idle_time=postgres.conn_max_idle_time.total_seconds() or FOREVER_SECONDS,
        )
    )


def make_broker(settings: Settings, extensions: Extensions) -> Broker:
    """The broker the settings name."""
    make = extensions.brokers.get(settings.broker.type)
    return make(settings.custom.get(f"broker.{settings.broker.type}", {})) if make is not None else MemoryBroker()


def make_doctor(settings: Settings, datastore: Datastore, broker: Broker | None) -> Doctor:
    """The doctor over an open datastore, and an open broker where there is one to ask."""
    options = DoctorOptions(lease=settings.worker.lease.total_seconds())
    return Doctor(datastore, broker, options, new_id=new_id, clock=utc_now)


def make_runtime(
    settings: Settings, extensions: Extensions, runtime_type: str, place: ContainerPlace, environ: Mapping[str, str]
) -> Runtime:
    """The runtime of this type."""
    make = extensions.runtimes.get(runtime_type)
    if make is not None:
        return make(settings.custom.get(f"runtime.{runtime_type}", {}))
    if runtime_type in {DOCKER, PODMAN}:
        return make_containers(settings, extensions, runtime_type, place, environ)
    shell = ShellRuntime(
        ShellOptions(
            node_id=place.node_id,
            command=settings.runtime.shell.cmd,
            uid=settings.runtime.shell.uid,
            gid=settings.runtime.shell.gid,
            temp_dir=settings.mounts.temp_dir,
            grace_seconds=settings.worker.grace.total_seconds(),
        )
    )
    if runtime_type != "auto":
        return shell
    return AutoRuntime(shell, make_containers(settings, extensions, runtime_type, place, environ))


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
    coordinator_identity = claim_identity(settings.data.dir, "coordinator")
    worker_identity = claim_identity(settings.data.dir, "worker")
    datastore = make_datastore(settings, extensions, dsn)
    broker = make_broker(settings, extensions)
    place = container_place(settings, worker_identity.node_id)
    if is_private:
        place.forget_runs()
    runtime = make_runtime(settings, extensions, runtime_type, place, environ)
    coordinator = Coordinator(
        datastore, broker, _coordinator_options(settings, coordinator_identity.node_id, port), new_id=new_id
    )
    worker = Worker(
        broker,
        runtime,
        _worker_options(settings, worker_identity.node_id, place.of_node),
        now=utc_now,
        new_id=new_id,
        environ=environ,
    )
    streams = StreamHub(Doorbell(broker, datastore.versions_of))
    dependencies = ApiDependencies(
        commands=coordinator,
        reading=datastore,
        broker=broker,
        streams=streams,
        doctor=make_doctor(settings, datastore, broker),
        redactor=Redactor(settings.middleware.job.redact.patterns, enabled=settings.middleware.job.redact.enabled),
        indicators={
            "datastore": datastore.check_health,
            "broker": broker.check_health,
            "runtime": runtime.check_health,
        },
        version=torkd.__version__,
        options=api_options(settings),
    )
    return Engine(
        datastore=datastore,
        broker=broker,
        runtime=runtime,
        coordinator=coordinator,
        worker=worker,
        streams=streams,
        app=create_app(dependencies),
        drain_seconds=settings.worker.drain.total_seconds(),
        is_private=is_private,
        identities=[coordinator_identity, worker_identity],
    )


def _coordinator_options(settings: Settings, node_id: str, port: int) -> CoordinatorOptions:
    queues = settings.coordinator.queues
    retention = settings.datastore.retention
    return CoordinatorOptions(
        node_id=node_id,
        name=settings.coordinator.name,
        hostname=socket.gethostname(),
        port=port,
        version=torkd.__version__,
        loops=max(getattr(queues, name) for name in queues.__struct_fields__),
        heartbeat=settings.worker.heartbeat.total_seconds(),
        lease=settings.worker.lease.total_seconds(),
        retention_jobs=retention.jobs.total_seconds(),
        retention_logs=retention.logs.total_seconds(),
        broker_is_ours=settings.broker.type == "inmemory",
    )


def _worker_options(settings: Settings, node_id: str, runs_directory: Path) -> WorkerOptions:
    worker = settings.worker
    return WorkerOptions(
        node_id=node_id,
        name=worker.name,
        runs_directory=runs_directory,
        hostname=socket.gethostname(),
        version=torkd.__version__,
        queues=worker.queues,
        cpus=worker.limits.cpus or "",
        memory=worker.limits.memory or "",
        timeout=worker.limits.timeout or "",
        heartbeat_seconds=worker.heartbeat.total_seconds(),
        lease_seconds=worker.lease.total_seconds(),
        drain_seconds=worker.drain.total_seconds(),
        grace_seconds=worker.grace.total_seconds(),
        logs_max_bytes=worker.logs_max,
        host_variables=settings.middleware.task.hostenv_vars,
        consumer_timeout_seconds=settings.broker.rabbitmq.consumer_timeout.total_seconds(),
    )
