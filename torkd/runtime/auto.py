"""Chooses between containers and the shell, task by task: what has an image goes to containers, what has none to the shell."""

from __future__ import annotations

from collections.abc import Collection
from typing import NoReturn

from tork.errors import RuntimeFailure
from tork.task import AuxTask, TaskDefinition
from torkd.runtime.protocol import Runtime, TaskRun


class AutoRuntime:
    """`runtime.type: auto`. Both runtimes belong to it and are closed with it."""

    def __init__(self, shell: Runtime, containers: Runtime) -> None:
        self._shell = shell
        self._containers = containers

    def run(self, run: TaskRun) -> str:
        """Run it where it belongs."""
        runtime = self._containers if first_image(run.definition) else self._shell
        return runtime.run(run)

    def resumable(self) -> Collection[str]:
        """Those of both."""
        return {*self._shell.resumable(), *self._containers.resumable()}

    def check_health(self) -> None:
        """The shell has to work; a container engine that is missing fails only the tasks that need it."""
        self._shell.check_health()

    def close(self) -> None:
        """Close both."""
        self._shell.close()
        self._containers.close()


class NoContainers:
    """Stands where a container runtime would be: refuses each task with a sentence that says what to do instead."""

    def __init__(self, runtime_type: str) -> None:
        self._runtime_type = runtime_type

    def run(self, run: TaskRun) -> NoReturn:
        """Refuse it."""
        task = f"task '{run.definition.name}'" if run.definition.name else f"task {run.task_id}"
        if image := first_image(run.definition):
            raise RuntimeFailure(
                f"{task} needs the image {image}: containers are not supported by this version of torkd "
                "(right would be a task without image, which the shell runs)"
            )
        raise RuntimeFailure(
            f"{task} has no image, and runtime.type '{self._runtime_type}' only runs containers, which this version "
            "of torkd does not support (right would be runtime.type 'shell' or 'auto')"
        )

    def resumable(self) -> Collection[str]:
        """Nothing was begun."""
        return ()

    def check_health(self) -> None:
        """The worker itself is well: its tasks fail with a sentence that helps."""

    def close(self) -> None:
        """Nothing to release."""


def first_image(definition: TaskDefinition) -> str:
    """The first image the task or one of its steps needs, or nothing."""
    steps: list[TaskDefinition | AuxTask] = [definition, *definition.pre, *definition.post, *definition.sidecars]
    return next((step.image for step in steps if step.image), "")
