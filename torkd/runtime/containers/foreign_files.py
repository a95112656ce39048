"""Removing what a container left in a directory of ours and we may not: files of root's, where torkd is not root.

The engine may, so a container does it. An image without `rm` can't, which costs disk space and a warning, never a task.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torkd.runtime.containers.engine import Engine, EngineError
from torkd.runtime.containers.images import engine_name

_TARGET = "/torkd"
_ROOT = "0:0"

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ForeignFiles:
    """How to remove them: by a container of this name and image, which must be on the engine."""

    engine: Engine
    container: str
    image: str
    labels: Mapping[str, str]
    log_config: Mapping[str, Any]

    def remove(self, directory: Path) -> bool:
        """Whether the directory is gone. Raises nothing of the engine's."""
        try:
            self._run(directory)
        except EngineError as error:
            _LOG.warning("%s can't be removed through %s: %s", directory, self.engine.name, error)
        if is_gone := not directory.exists():
            _LOG.info("removed %s through %s", directory, self.engine.name)
        return is_gone

    def _run(self, directory: Path) -> None:
        try:
            self.engine.create_container(self.container, self._config(directory))
            self.engine.start_container(self.container)
            if code := self.engine.wait_container(self.container):
                raise EngineError(f"rm ended with exit code {code}")
        finally:
            self.engine.remove_container(self.container)

    def _config(self, directory: Path) -> dict[str, Any]:
        mount = {"Type": "bind", "Source": str(directory.parent), "Target": _TARGET}
        return {
            "Image": engine_name(self.image),
            "User": _ROOT,
            "Entrypoint": ["rm", "-rf", f"{_TARGET}/{directory.name}"],
            "Cmd": [],
            "WorkingDir": "/",
            "Labels": dict(self.labels),
            "HostConfig": {"Mounts": [mount], "NetworkMode": "none", "LogConfig": dict(self.log_config)},
        }
