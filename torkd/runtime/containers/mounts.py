"""The mounts of one run: made before its first container, shared by all of them, undone after the last.

Names of volumes follow from the run's id and the mount's place in the list, so whoever takes a run up again knows them.
Everything that was begun is undone, also what failed half-way.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tork.errors import RuntimeFailure
from tork.task import Mount
from torkd.runtime.containers.bind_rules import BindRules, is_at_or_below, normalise_path
from torkd.runtime.containers.engine import Engine, EngineError
from torkd.runtime.containers.mounters import BUILT_IN_TYPES, Mounter, mount_with
from torkd.runtime.containers.removal import remove_patiently
from torkd.runtime.containers.tmpfs_options import tmpfs_options
from torkd.runtime.containers.volume_options import check_volume_options
from torkd.runtime.protocol import TaskRun

RESERVED_TARGET = "/tork"
_KERNEL_DIRECTORIES = ("/proc", "/sys", "/dev")
_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"", "0", "f", "F", "false", "FALSE", "False"})

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class MountRules:
    """What the operator allows and adds."""

    binds: BindRules
    mounters: Mapping[str, Mounter]
    """By type."""
    engine_is_here: bool
    """Whether the engine sees this host's directories."""


class Mounts:
    """Call `unmount_all` whatever `mount_all` did."""

    def __init__(self, run: TaskRun, engine: Engine, rules: MountRules) -> None:
        self._run = run
        self._engine = engine
        self._rules = rules
        self._undo: list[tuple[str, Callable[[], object]]] = []
        self._targets: set[str] = set()
        self.entries: list[dict[str, Any]] = []
        """The run's `HostConfig.Mounts` in Docker's API, once all is mounted."""

    def mount_all(self, *, resumed: bool = False) -> None:
        """Make everything. `resumed`: the run's volumes are there already. Raises `RuntimeFailure`, or what the engine does."""
        for index, mount in enumerate(self._run.definition.mounts):
            if self._run.stop.is_set():
                raise self._run.stop.error()
            self.entries.append(self._entry(mount, volume_name(self._run.run_id, index), resumed))

    def unmount_all(self) -> None:
        """Undo everything, the last first; no container of the run is left. What can't be undone is logged."""
        while self._undo:
            what, undo = self._undo.pop()
            try:
                undo()
            except Exception:  # noqa: BLE001 -- a mounter is not ours, and the others must be undone, too
                _LOG.exception("%s of run %s could not be undone", what, self._run.run_id)

    def _entry(self, mount: Mount, name: str, resumed: bool) -> dict[str, Any]:
        if mounter := self._rules.mounters.get(mount.type):
            return self._custom_entry(mounter, mount, name, resumed)
        if mount.type not in BUILT_IN_TYPES:
            known = ", ".join([*BUILT_IN_TYPES, *sorted(self._rules.mounters)])
            raise RuntimeFailure(f"unknown mount type: {mount.type} (right would be one of {known})")
        target = self._take_target(mount)
        here = self._rules.engine_is_here
        match mount.type:
            case "volume":
                if mount.source:
                    raise RuntimeFailure("volume source should be empty (right would be no source, or type bind)")
                options = check_volume_options(mount.opts, self._rules.binds, on_this_host=here)
                return self._volume(name, target, options, resumed)
            case "bind":
                return _bind(self._rules.binds.check(mount.source, on_this_host=here).path, target, mount.opts)
            case _:
                if mount.source:
                    raise RuntimeFailure("tmpfs source should be empty (right would be no source)")
                return _tmpfs(target, mount.opts)

    def _custom_entry(self, mounter: Mounter, mount: Mount, name: str, resumed: bool) -> dict[str, Any]:
        mounted = mount_with(mounter, mount, self._run)
        self._undo.append((f"the mount of type {mount.type}", lambda: mounter.unmount(mounted, self._run)))
        if mounted.type not in BUILT_IN_TYPES:
            raise RuntimeFailure(
                f"unknown mount type: {mounted.type}, which the mounter of type {mount.type} gave "
                f"(right would be one of {', '.join(BUILT_IN_TYPES)})"
            )
        target = self._take_target(mounted)
        match mounted.type:
            case "volume" if mounted.source:
                return _mount_entry("volume", mounted.source, target)
            case "volume":
                return self._volume(name, target, mounted.opts, resumed)
            case "bind":
                return _bind(mounted.source, target, mounted.opts)
            case _:
                return _tmpfs(target, mounted.opts)

    def _take_target(self, mount: Mount) -> str:
        """The cleaned path in the container, which no other mount has."""
        target = check_target(mount)
        if target in self._targets:
            raise RuntimeFailure(f"mount target {target} is used twice (right would be a path for each mount)")
        self._targets.add(target)
        return target

    def _volume(self, name: str, target: str, options: Mapping[str, str], resumed: bool) -> dict[str, Any]:
        remove = self._engine.remove_volume
        self._undo.append((f"volume {name}", lambda: remove_patiently(f"volume {name}", lambda: remove(name))))
        if not resumed:
            try:
                self._engine.create_volume(name, options=options, labels=self._run.labels)
            except EngineError as error:
                raise type(error)(f"the volume for {target} can't be made: {error}") from error
        return _mount_entry("volume", name, target)


def volume_name(run_id: str, index: int) -> str:
    """What the volume of a run's mount is called; `index` is the mount's place in the task's list."""
    return f"torkd-{run_id}-volume-{index}"


def check_target(mount: Mount) -> str:
    """The path in the container, cleaned. Raises `RuntimeFailure`."""
    if not mount.target:
        raise RuntimeFailure(f"{mount.type} target is required (right would be a path in the container, such as /data)")
    target = normalise_path(mount.target)
    if not mount.target.startswith("/") or target == "/" or "\0" in target:
        raise RuntimeFailure(
            f"{mount.type} target {mount.target!r} can't be mounted on (right would be an absolute path, such as /data)"
        )
    if is_at_or_below(target, RESERVED_TARGET):
        raise RuntimeFailure(
            f"{mount.type} target {mount.target} is taken: {RESERVED_TARGET} is where the task's own files are "
            "(right would be another path, such as /data)"
        )
    return target


def check_room_for_files(directory: str, mounts: Sequence[Mapping[str, Any]]) -> None:
    """Raise `RuntimeFailure` for a directory into which files are put in vain: something else is mounted on it at the start."""
    hiding = [entry["Target"] for entry in mounts if entry["Type"] == "tmpfs" or entry.get("ReadOnly")]
    for target in (*hiding, *_KERNEL_DIRECTORIES):
        if is_at_or_below(directory, target):
            raise RuntimeFailure(
                f"files can't be put into {directory}: it is in {target}, which is mounted anew or can't be written "
                "(right would be another workdir)"
            )


def _bind(source: str, target: str, options: Mapping[str, str]) -> dict[str, Any]:
    if not source.startswith("/"):
        raise RuntimeFailure("bind source is required (right would be an absolute path of the host)")
    entry = _mount_entry("bind", source, target)
    readonly = options.get("readonly", "")
    if readonly not in _TRUE | _FALSE:
        raise RuntimeFailure(f"bind option readonly '{readonly}' is not a boolean (right would be 'true' or 'false')")
    if readonly in _TRUE:
        entry["ReadOnly"] = True
    return entry


def _tmpfs(target: str, options: Mapping[str, str]) -> dict[str, Any]:
    entry: dict[str, Any] = {"Type": "tmpfs", "Target": target}
    if checked := tmpfs_options(options):
        entry["TmpfsOptions"] = checked
    return entry


def _mount_entry(type_: str, source: str, target: str) -> dict[str, Any]:
    return {"Type": type_, "Source": source, "Target": target}
