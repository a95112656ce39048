"""What a step's container executes, where, and with which environment: the job file's keys in, the engine's fields out.

Nothing here asks an engine: what the image has of its own is left to it, by None.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tork.errors import RuntimeFailure
from tork.task import AuxTask, TaskDefinition
from torkd.runtime.containers.bind_rules import normalise_path

SCRIPT_PATH = "/tork/entrypoint"
OUTPUT_PATH = "/tork/stdout"
PROGRESS_PATH = "/tork/progress"
FILES_DIRECTORY = "/tork/workdir"
"""Where a step's files go when the task says no working directory."""
_SHELL = ("sh", "-c")


@dataclass(frozen=True, slots=True)
class Command:
    """`Entrypoint` and `Cmd` of a container."""

    entrypoint: list[str] | None
    """None: the image's own."""
    arguments: list[str] | None
    """None: the image's own, which engines only use together with the image's own entrypoint."""
    needs_script: bool
    """Whether the `run` text must be at `SCRIPT_PATH`: also when `cmd` is what starts, since that may call it."""


def effective_command(step: TaskDefinition | AuxTask) -> Command:
    """What the step's `entrypoint`, `cmd` and `run` come to: `cmd` goes before `run`, which goes through `sh -c`."""
    has_script = bool(step.run)
    entrypoint = list(step.entrypoint) or (list(_SHELL) if has_script else None)
    arguments: list[str] | None = None
    if step.cmd:
        arguments = list(step.cmd)
    elif has_script:
        arguments = [SCRIPT_PATH]
    elif entrypoint:
        arguments = []
    return Command(entrypoint, arguments, has_script)


def working_directory(step: TaskDefinition | AuxTask, workdir: str) -> str | None:
    """The directory the step starts in, and its files go to; None for the image's own. `workdir` is the task's.

    A relative one is refused, as Docker does: what it would be relative to differs between images. Raises `RuntimeFailure`.
    """
    if not workdir:
        return FILES_DIRECTORY if step.files else None
    if not workdir.startswith("/") or "\0" in workdir:
        raise RuntimeFailure(
            f"workdir {workdir!r} is not a path in the container (right would be an absolute one, such as /work)"
        )
    return normalise_path(workdir)


def environment(variables: Mapping[str, str]) -> list[str]:
    """`NAME=value` of the step's own variables and of where its output and progress go. Raises `RuntimeFailure`.

    Each name is there once: which of two would count differs between shells.
    """
    for name, value in variables.items():
        _check_variable(name, value)
    ours = {"TORK_OUTPUT": OUTPUT_PATH, "TORK_PROGRESS": PROGRESS_PATH}
    return [f"{name}={value}" for name, value in {**variables, **ours}.items()]


def _check_variable(name: str, value: str) -> None:
    if not name or "=" in name or "\0" in name:
        raise RuntimeFailure(
            f"env name {name!r} can't be a variable's name (right would be one without '=' and NUL, such as PATH)"
        )
    if "\0" in value:
        raise RuntimeFailure(f"env {name} has a NUL in its value (right would be text without one)")
