"""Chooses between containers and the shell, task by task: what has an image goes to containers, what has none to the shell."""

from __future__ import annotations

from collections.abc import Collection

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


def first_image(definition: TaskDefinition) -> str:
    """The first image the task or one of its steps needs, or nothing."""
    steps: list[TaskDefinition | AuxTask] = [definition, *definition.pre, *definition.post, *definition.sidecars]
    return next((step.image for step in steps if step.image), "")
