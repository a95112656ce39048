"""Puts the container runtime together: the engine there is, what the settings allow, and where its files lie.

The docker SDK takes long to import, so everything here happens when the first task with an image comes, or when runs of before
may be left.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tork.errors import RuntimeFailure
from torkd.extensions import Extensions
from torkd.node_identity import dead_nodes
from torkd.runtime.lazy import LazyRuntime
from torkd.runtime.lost_nodes import LostNodes
from torkd.runtime.protocol import Runtime
from torkd.runtime.work_area import remove_tree
from torkd.settings import Settings
from torkd.settings.kinds import NEVER

log = logging.getLogger(__name__)

DOCKER, PODMAN = "docker", "podman"
REAP_SECONDS = 60.0
"""How often leftovers are looked for, unless leases are so short that they should go sooner."""
REAP_LEASES = 4
_NONE_FOUND = (
    "no container engine was found: neither a Docker socket that torkd may use nor podman "
    "(right would be one of them, or a task without image, which the shell runs)"
)


@dataclass(frozen=True, kw_only=True)
class ContainerPlace:
    """Where container runs of one node keep what outlives the process."""

    node_id: str
    data: Path
    """The data directory; its nodes' locks tell whose process is dead."""
    runs: Path
    """The directory of the runs of all nodes, a directory each."""

    @property
    def mark(self) -> Path:
        """Is there once this node has run a container: from then on leftovers are looked for at start."""
        return self.data / "containers" / self.node_id

    def ledger(self, engine_type: str) -> Path:
        """What remembers which images were pulled by this engine, for all nodes."""
        return self.data / "containers" / f"images-{engine_type}.json"

    @property
    def of_node(self) -> Path:
        """The runs of this node."""
        return self.runs / self.node_id

    def forget_runs(self) -> None:
        """None of before is to be taken up."""
        if self.of_node.exists():
            remove_tree(self.of_node)


def container_place(settings: Settings, node_id: str) -> ContainerPlace:
    """Below the data directory, or in `mounts.temp.dir` if that was set: engines must be able to mount from there."""
    data = settings.data.dir
    temp = settings.mounts.temp_dir
    is_default = temp == type(settings.mounts)().temp_dir
    return ContainerPlace(node_id=node_id, data=data, runs=data / "runs" if is_default else temp / "torkd-runs")


def make_containers(
    settings: Settings,
    extensions: Extensions,
    engine_type: str,
    place: ContainerPlace,
    environ: Mapping[str, str],
    lost_nodes: LostNodes,
) -> Runtime:
    """The container runtime on `docker`, `podman`, or with `auto` whichever is there when it is needed."""

    def make() -> Runtime:
        return _make(settings, extensions, engine_type, place, environ, lost_nodes)

    return LazyRuntime(make, is_wanted=place.mark.exists)


def _make(
    settings: Settings,
    extensions: Extensions,
    engine_type: str,
    place: ContainerPlace,
    environ: Mapping[str, str],
    lost_nodes: LostNodes,
) -> Runtime:
    # Imported here: these, and nothing else, import the docker SDK.
    from torkd.runtime.containers import places
    from torkd.runtime.containers.bind_rules import BindRules
    from torkd.runtime.containers.equipment import Equipment
    from torkd.runtime.containers.image_ledger import ImageLedger
    from torkd.runtime.containers.images import ImageStore
    from torkd.runtime.containers.mounts import MountRules
    from torkd.runtime.containers.networks import NetworkRules
    from torkd.runtime.containers.options import ContainerOptions
    from torkd.runtime.containers.runtime import ContainerRuntime
    from torkd.runtime.containers.sdk_engine import SdkEngine

    if engine_type == "auto":
        engine_type = _find_engine(places.has_docker(environ), environ)
    engine: SdkEngine = (
        places.docker_engine(environ)
        if engine_type == DOCKER
        else places.podman_engine(environ, place.data / "containers")
    )
    log.info("containers run on %s at %s", engine.name, engine.place)
    chosen = settings.runtime.docker if engine_type == DOCKER else settings.runtime.podman
    lease = settings.worker.lease.total_seconds()
    options = ContainerOptions(
        node_id=place.node_id,
        privileged=chosen.privileged,
        grace_seconds=settings.worker.grace.total_seconds(),
        image_ttl_seconds=None if chosen.image_ttl == NEVER else chosen.image_ttl.total_seconds(),
        image_keep=chosen.image_keep,
        image_verify=chosen.image_verify,
        credentials_file=chosen.config.expanduser(),
        gone_after_seconds=lease,
        reap_seconds=min(REAP_SECONDS, REAP_LEASES * lease),
        runs=place.runs,
    )
    here = engine.place.startswith("unix://")
    equipment = Equipment(
        engine=engine,
        differences=engine.differences,
        options=options,
        images=ImageStore(engine=engine, ledger=ImageLedger(place.ledger(engine_type))),
        mount_rules=MountRules(
            binds=BindRules(allowed=settings.mounts.bind_allowed, sources=settings.mounts.bind_sources),
            mounters=extensions.make_mounters(engine_type, settings.custom),
            engine_is_here=here,
        ),
        network_rules=NetworkRules(host_allowed=chosen.host_network, allowed=chosen.networks),
        environ=environ,
        sees_our_directories=here,
    )
    return ContainerRuntime(
        equipment, dead_nodes=lambda: dead_nodes(place.data, "worker"), lost_nodes=lost_nodes, mark=place.mark
    )


def _find_engine(has_docker: bool, environ: Mapping[str, str]) -> str:
    if has_docker:
        return DOCKER
    if environ.get("CONTAINER_HOST") or shutil.which(PODMAN, path=environ.get("PATH", os.defpath)):
        return PODMAN
    raise RuntimeFailure(_NONE_FOUND)
