"""The body that a container is created with, in Docker's API (version 1.41, which both engines understand)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tork.errors import RuntimeFailure
from tork.task import AuxTask, Limits, TaskDefinition
from torkd.runtime.containers.command import effective_command, environment, working_directory
from torkd.runtime.containers.differences import Differences
from torkd.runtime.containers.gpus import device_requests
from torkd.runtime.containers.images import engine_name
from torkd.runtime.containers.networks import Attachment
from torkd.runtime.containers.quantities import memory_bytes, nano_cpus

STEP_LABEL = "torkd.step"


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """A port of a container that can be reached from here."""

    port: int
    """In the container."""
    address: str
    """The address of the engine's host that it is published on, and no other: the one by which we reach the engine."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """What all containers of a run have in common."""

    labels: Mapping[str, str]
    mounts: Sequence[Mapping[str, Any]]
    limits: Limits | None
    gpus: str
    privileged: bool
    differences: Differences


def check_share(definition: TaskDefinition, differences: Differences) -> None:
    """Raise `RuntimeFailure` for limits and GPUs that can't be given, before anything is made."""
    _limits(definition.limits)
    _gpus(definition.gpus, differences)


def container_config(
    step: TaskDefinition | AuxTask,
    name: str,
    share: Share,
    *,
    tork: Mapping[str, Any],
    workdir: str,
    attachment: Attachment,
    published: Published | None = None,
    with_init: bool,
) -> dict[str, Any]:
    """The body for one step's container; `tork` is the mount of its `/tork`, `published` a port to be published."""
    command = effective_command(step)
    host: dict[str, Any] = {
        "Mounts": [*share.mounts, tork],
        "LogConfig": share.differences.log_config,
        # Only for scripts: an image's own entry point may insist on being process 1.
        "Init": with_init and bool(step.run) and not step.entrypoint,
        "Privileged": share.privileged,
        **_limits(share.limits),
        **_gpus(share.gpus, share.differences),
        **attachment.host_config,
    }
    config: dict[str, Any] = {
        "Image": engine_name(step.image),
        "Env": environment(step.env),
        "Labels": {**share.labels, STEP_LABEL: name},
        "HostConfig": host,
        **attachment.config,
    }
    if command.entrypoint is not None:
        config["Entrypoint"] = command.entrypoint
    if command.arguments is not None:
        config["Cmd"] = command.arguments
    if directory := working_directory(step, workdir):
        config["WorkingDir"] = directory
    if published is not None:
        port = f"{published.port}/tcp"
        config["ExposedPorts"] = {port: {}}
        host["PortBindings"] = {port: [{"HostIp": published.address, "HostPort": ""}]}
    return config


def _limits(limits: Limits | None) -> dict[str, int]:
    given: dict[str, int] = {}
    if limits is not None and limits.cpus:
        given["NanoCpus"] = nano_cpus(limits.cpus)
    if limits is not None and limits.memory:
        given["Memory"] = memory_bytes(limits.memory)
    return given


def _gpus(gpus: str, differences: Differences) -> dict[str, Any]:
    if not gpus:
        return {}
    requests = device_requests(gpus)
    if not differences.gives_gpus:
        raise RuntimeFailure(
            f"gpus can't be given to containers of {differences.name} (right would be a worker whose runtime.type is docker)"
        )
    return {"DeviceRequests": requests}
