"""What every run of the container runtime works with, and what was learned about the engine meanwhile."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torkd.runtime.containers.differences import Differences
from torkd.runtime.containers.engine import Engine, EngineError
from torkd.runtime.containers.images import ImageStore
from torkd.runtime.containers.mounts import MountRules
from torkd.runtime.containers.networks import NetworkRules
from torkd.runtime.containers.options import ContainerOptions

_LOG = logging.getLogger(__name__)


class DirectoriesUnseen(EngineError):
    """A container was made with a directory of ours, and another one was in its place."""


@dataclass(kw_only=True)
class Equipment:
    """One for all runs. What it learns only ever goes from more to less, so races cost a try at most."""

    engine: Engine
    differences: Differences
    options: ContainerOptions
    images: ImageStore
    mount_rules: MountRules
    network_rules: NetworkRules
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    has_init: bool = True
    """Whether the engine has an init process for scripts: with one, a script gets TERM as it would outside."""
    sees_our_directories: bool = True
    """Whether directories of ours can be bound into containers."""
    directories_are_proven: bool = False
    """Whether a container was seen to have one."""
    _proof: threading.Lock = field(default_factory=threading.Lock)
    answered_at: float = float("-inf")
    """When a run of ours ended well: then the engine was there, by the monotonic clock."""
    has_leftovers: threading.Event = field(default_factory=threading.Event)
    """Set when a run could not remove something."""

    def check_directory(self, directory: Path) -> None:
        """Look whether scripts could run from there at all."""
        if self.sees_our_directories and os.statvfs(directory).f_flag & getattr(os, "ST_NOEXEC", 0):
            self._use_volumes(f"{directory} is mounted noexec")

    def prove_directories(self, container: str, path: str) -> None:
        """Look, the first time, whether a made container has the file of ours at this path.

        Podman makes a directory that it does not find, and SELinux hides what is there. Raises `DirectoriesUnseen`.
        """
        with self._proof:
            if self.directories_are_proven:
                return
            if self.engine.has_selinux():
                raise DirectoriesUnseen(f"SELinux keeps containers of {self.engine.name} from the directories of torkd")
            if self.engine.read_file(container, path, 1) is None:
                raise DirectoriesUnseen(
                    f"{self.engine.name} at {self.engine.place} does not see the directories of torkd"
                )
            self.directories_are_proven = True

    def learn(self, error: EngineError, directory: Path) -> bool:
        """Whether the error says something about the engine that makes another try worth while.

        Another run may have learned it a moment before: that is no reason to fail.
        """
        text = str(error)
        if self.differences.no_init in text:
            if self.has_init:
                _LOG.info("%s has no init process for scripts, they are process 1", self.engine.name)
            self.has_init = False
            return True
        if isinstance(error, DirectoriesUnseen) or (str(directory) in text and self.differences.missing_bind in text):
            self.refuse_directories(text)
            return True
        return False

    def refuse_directories(self, why: str) -> None:
        """Copy files in and out from now on."""
        if self.sees_our_directories:
            self._use_volumes(why)

    def _use_volumes(self, why: str) -> None:
        self.sees_our_directories = False
        _LOG.info("files are copied into containers and out of them, which is slower: %s", why)
