"""A mounter: mounts of type `scratch` are directories that a run has for itself, and that are gone after it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tork.errors import RuntimeFailure
from tork.task import Mount
from torkd.runtime.protocol import TaskRun


class ScratchMounter:
    """`[mounter.scratch]` has `place`, where the directories are made."""

    def __init__(self, section: Mapping[str, Any]) -> None:
        self._place = Path(section.get("place", "/var/tmp/scratch"))

    def mount(self, mount: Mount, run: TaskRun) -> Mount:
        """The same for the same run, also when a restarted worker asks again."""
        if not mount.target:
            raise RuntimeFailure("a scratch mount needs a target")
        if Path(mount.source).name != mount.source:
            raise RuntimeFailure(
                f"'{mount.source}' is not the name of a scratch directory (right would be a plain name)"
            )
        directory = self._place / run.run_id / (mount.source or "scratch")
        directory.mkdir(parents=True, exist_ok=True)
        return Mount(type="bind", source=str(directory), target=mount.target)

    def unmount(self, mounted: Mount, run: TaskRun) -> None:
        """Once no container of the run is left."""
        shutil.rmtree(mounted.source, ignore_errors=True)
