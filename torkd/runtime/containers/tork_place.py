"""`/tork` of one container: its script and files going in, its output and progress coming out.

A directory of the run that is bound into the container when the engine sees our directories, which costs nothing; otherwise a
volume, filled and read by archives. Both are private to the container and are gone with it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from tork.errors import RuntimeFailure
from torkd.runtime.containers.archive import archive_of
from torkd.runtime.containers.command import FILES_DIRECTORY
from torkd.runtime.containers.engine import Engine
from torkd.runtime.containers.removal import remove_patiently
from torkd.runtime.plain_file import (
    MAX_PROGRESS_SIZE,
    MAX_RESULT_SIZE,
    progress_number,
    read_plain_file,
    result_text,
)
from torkd.runtime.process import NO_SCRIPT_IS_OPEN
from torkd.runtime.work_area import remove_tree
from torkd.runtime.work_directory import unwritable

TORK = "/tork"
_WORKDIR = str(PurePosixPath(FILES_DIRECTORY).relative_to(TORK))
_OUTPUT, _PROGRESS, _SCRIPT = "stdout", "progress", "entrypoint"
_WRITE_ONLY, _EXECUTABLE, _READ_ONLY = 0o222, 0o555, 0o444
_OPEN_DIRECTORY = 0o777
"""Of the default working directory: it is private to a container that may run as any user."""


def directory_in_tork(directory: str | None) -> str | None:
    """How a normalised path of the container goes on below `/tork`; None for one that lies elsewhere."""
    path = PurePosixPath(directory or "/")
    return str(path.relative_to(TORK)) if path.is_relative_to(TORK) else None


class TorkPlace(Protocol):
    """`/tork` of one container."""

    mount: dict[str, Any]
    """Its entry in `HostConfig.Mounts`."""

    def fill(self) -> None:
        """Put in what goes in through the engine. The container is made and not started."""

    def read_result(self) -> str:
        """What the container wrote to its output. Raises `RuntimeFailure` when it is too much."""

    def read_progress(self) -> float | None:
        """The progress it told, None when it told none that is a number."""

    def remove(self) -> None:
        """Nothing of it stays. The container is gone."""


class BoundPlace:
    """A directory of this host. `script` is None for a container that has none of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.mount: dict[str, Any] = {"Type": "bind", "Source": str(path), "Target": TORK}

    def make(self, script: str | None, files: Mapping[str, bytes], directory: str = _WORKDIR) -> None:
        """Write it all, the files into that directory of it. Raises `RuntimeFailure`."""
        # The owner, if not root, must be able to read what the container wrote.
        write_only = _WRITE_ONLY if os.geteuid() == 0 else _WRITE_ONLY | 0o400
        try:
            self.path.mkdir(mode=0o755)
            self.path.chmod(0o755)
            self._write(_OUTPUT, b"", write_only)
            self._write(_PROGRESS, b"", write_only)
            if script is not None:
                with NO_SCRIPT_IS_OPEN:
                    self._write(_SCRIPT, script.encode("utf-8", "replace"), _EXECUTABLE)
        except OSError as error:
            raise RuntimeFailure(
                f"the task's files can't be written in {self.path.parent}: {error.strerror}"
            ) from error
        for name, content in files.items():
            self._put(PurePosixPath(directory, name), name, content)

    def fill(self) -> None:
        """All is there."""

    def read_result(self) -> str:
        """From the file itself."""
        return result_text(*read_plain_file(str(self.path / _OUTPUT), MAX_RESULT_SIZE))

    def read_progress(self) -> float | None:
        """From the file itself."""
        return progress_number(read_plain_file(str(self.path / _PROGRESS), MAX_PROGRESS_SIZE)[0])

    def remove(self) -> None:
        """With all that the container may have put there."""
        remove_tree(self.path)

    def _put(self, path: PurePosixPath, name: str, content: bytes) -> None:
        try:
            self._make_directories(path.parent)
            self._write(str(path), content, _READ_ONLY)
        except OSError as error:
            raise unwritable(name, error) from error

    def _make_directories(self, directory: PurePosixPath) -> None:
        path = self.path
        for part in directory.parts:
            path /= part
            path.mkdir(exist_ok=True)
            path.chmod(_OPEN_DIRECTORY)

    def _write(self, name: str, content: bytes, mode: int) -> None:
        fd = os.open(self.path / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            while content:
                content = content[os.write(fd, content) :]
            os.fchmod(fd, mode)
        finally:
            os.close(fd)


class VolumePlace:
    """A volume of the engine."""

    def __init__(self, engine: Engine, name: str, *, container: str, labels: Mapping[str, str]) -> None:
        self._engine, self._name, self._container, self._labels = engine, name, container, labels
        self._archive = b""
        self.mount: dict[str, Any] = {"Type": "volume", "Source": name, "Target": TORK}

    def make(self, script: str | None, files: Mapping[str, bytes], directory: str = _WORKDIR) -> None:
        """Make the volume, and keep ready what goes in. Raises what the engine does."""
        entries = {_OUTPUT: (b"", _WRITE_ONLY), _PROGRESS: (b"", _WRITE_ONLY)}
        if script is not None:
            entries[_SCRIPT] = (script.encode("utf-8", "replace"), _EXECUTABLE)
        entries |= {str(PurePosixPath(directory, name)): (content, _READ_ONLY) for name, content in files.items()}
        directories = {str(parent) for name in entries for parent in PurePosixPath(name).parents if parent.parts}
        self._archive = archive_of(entries, dict.fromkeys(sorted(directories), _OPEN_DIRECTORY))
        self._engine.create_volume(self._name, options={}, labels=self._labels)

    def fill(self) -> None:
        """Unpack it there."""
        self._engine.put_archive(self._container, TORK, self._archive)

    def read_result(self) -> str:
        """By an archive."""
        return result_text(*(self._engine.read_file(self._container, f"{TORK}/{_OUTPUT}", MAX_RESULT_SIZE) or (b"", 0)))

    def read_progress(self) -> float | None:
        """By an archive."""
        read = self._engine.read_file(self._container, f"{TORK}/{_PROGRESS}", MAX_PROGRESS_SIZE)
        return progress_number(read[0]) if read else None

    def remove(self) -> None:
        """Remove the volume."""
        remove_patiently(f"volume {self._name}", lambda: self._engine.remove_volume(self._name))
