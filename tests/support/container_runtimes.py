"""Container runtimes for tests, on a real engine, without a daemon around them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import nullcontext
from dataclasses import replace as changed
from pathlib import Path
from typing import Any, TypeVar

from msgspec.structs import replace

from tests.support.engines import ContainerEngine
from tork.task import AuxTask, Sidecar, TaskDefinition
from torkd.runtime.containers.bind_rules import BindRules
from torkd.runtime.containers.equipment import Equipment
from torkd.runtime.containers.image_ledger import ImageLedger
from torkd.runtime.containers.images import ImageStore
from torkd.runtime.containers.mounts import MountRules
from torkd.runtime.containers.networks import NetworkRules
from torkd.runtime.containers.options import ContainerOptions
from torkd.runtime.containers.places import docker_engine, podman_engine
from torkd.runtime.containers.runtime import ContainerRuntime
from torkd.runtime.lost_nodes import LostNodes
from torkd.runtime.protocol import Runtime, TaskRun

A = TypeVar("A", AuxTask, Sidecar)


def container_runtime(engine: ContainerEngine, directory: Path, **options: Any) -> ContainerRuntime:
    """On this engine, with what it has to remember in `directory`."""
    environ = {engine.variable: engine.url}
    client = docker_engine(environ) if engine.name == "docker" else podman_engine(environ, directory)
    return ContainerRuntime(
        Equipment(
            engine=client,
            differences=client.differences,
            options=ContainerOptions(node_id="n1", **options),
            images=ImageStore(engine=client, ledger=ImageLedger(None)),
            mount_rules=MountRules(binds=BindRules(allowed=False, sources=()), mounters={}, engine_is_here=True),
            network_rules=NetworkRules(),
            environ=environ,
        ),
        dead_nodes=lambda: nullcontext(()),
        lost_nodes=LostNodes(1000.0),
        mark=directory / "mark",
    )


class WithImage:
    """Runs tasks that say no image, or nothing to run, in this one, so that they are the same as for other runtimes."""

    def __init__(self, runtime: Runtime, image: str) -> None:
        self._runtime, self._image = runtime, image

    def run(self, run: TaskRun) -> str:
        """Run it, in its image."""
        definition = run.definition
        with_images: TaskDefinition = replace(
            definition,
            image=definition.image or self._image,
            run=definition.run or ":",
            pre=self._steps(definition.pre),
            post=self._steps(definition.post),
        )
        return self._runtime.run(changed(run, definition=with_images))

    def resumable(self) -> Collection[str]:
        """As it is."""
        return self._runtime.resumable()

    def check_health(self) -> None:
        """As it is."""
        self._runtime.check_health()

    def close(self) -> None:
        """As it is."""
        self._runtime.close()

    def _steps(self, steps: Sequence[A]) -> list[A]:
        return [replace(step, image=step.image or self._image) for step in steps]
