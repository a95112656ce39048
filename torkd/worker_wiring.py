"""Puts a worker together: its runtime, its options, its place among the nodes. Nothing here knows of a database."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass

import torkd
from torkd.broker.protocol import Broker
from torkd.broker_wiring import make_key_ring
from torkd.clock import new_id, utc_now
from torkd.container_wiring import DOCKER, PODMAN, ContainerPlace, container_place, make_containers
from torkd.extensions import Extensions
from torkd.node_identity import NodeIdentity, claim_identity
from torkd.runtime.auto import AutoRuntime
from torkd.runtime.lost_nodes import LostNodes
from torkd.runtime.protocol import Runtime
from torkd.runtime.shell import ShellOptions, ShellRuntime
from torkd.sealing import SealedBodies
from torkd.settings import Settings
from torkd.tracing.protocol import Tracing
from torkd.worker.options import WorkerOptions
from torkd.worker.worker import Worker


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerParts:
    """A worker, not yet started, with what it stands on besides the broker."""

    worker: Worker
    runtime: Runtime
    identity: NodeIdentity


def make_worker(
    settings: Settings,
    broker: Broker,
    *,
    runtime_type: str,
    extensions: Extensions,
    port: int = 0,
    forgets_runs: bool = False,
    patience_seconds: float = 0.0,
    environ: Mapping[str, str] = os.environ,
    tracing: Tracing | None = None,
) -> WorkerParts:
    """The worker these settings ask for; its node id is the first that no process of this host uses.

    The only worker of its data directory waits `patience_seconds` for the id of its predecessor.
    """
    identity = claim_identity(settings.data.dir, "worker", patience_seconds=patience_seconds)
    with ExitStack() as undone:
        undone.callback(identity.release)
        place = container_place(settings, identity.node_id)
        if forgets_runs:
            place.forget_runs()
        lost_nodes = LostNodes(settings.worker.lease.total_seconds())
        runtime = make_runtime(settings, extensions, runtime_type, place, environ, lost_nodes)
        worker = Worker(
            broker,
            runtime,
            _worker_options(settings, place, port),
            now=utc_now,
            new_id=new_id,
            environ=environ,
            lost_nodes=lost_nodes,
            seal=SealedBodies(make_key_ring(settings), "run"),
            hooks=extensions.run_hooks(),
            tracing=tracing,
        )
        undone.pop_all()
    return WorkerParts(worker=worker, runtime=runtime, identity=identity)


def make_runtime(
    settings: Settings,
    extensions: Extensions,
    runtime_type: str,
    place: ContainerPlace,
    environ: Mapping[str, str],
    lost_nodes: LostNodes,
) -> Runtime:
    """The runtime of this type."""
    make = extensions.runtimes.get(runtime_type)
    if make is not None:
        return make(settings.custom.get(f"runtime.{runtime_type}", {}))
    if runtime_type in {DOCKER, PODMAN}:
        return make_containers(settings, extensions, runtime_type, place, environ, lost_nodes)
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
    return AutoRuntime(shell, make_containers(settings, extensions, runtime_type, place, environ, lost_nodes))


def _worker_options(settings: Settings, place: ContainerPlace, port: int) -> WorkerOptions:
    worker = settings.worker
    return WorkerOptions(
        node_id=place.node_id,
        name=worker.name,
        runs_directory=place.of_node,
        hostname=socket.gethostname(),
        port=port,
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
