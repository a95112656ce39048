"""The files of a fake container: in memory, in a volume it shares with others, or on the host where a bind leads."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Protocol


class Mount(NamedTuple):
    """A mount of a container."""

    kind: str
    """`bind`, `volume` or `tmpfs`."""
    source: str
    """A directory or file of the host, or a volume's name."""
    target: str


class FileTree(Protocol):
    """A place for files; paths are absolute in it."""

    def write(self, path: str, data: bytes, mode: int | None = None) -> None:
        """Make or overwrite a file."""

    def read(self, path: str) -> bytes | None:
        """A plain file's content; None when there is none."""

    def has_directory(self, path: str) -> bool:
        """Whether it is there."""

    def make_directory(self, path: str) -> None:
        """Make it, with those above it."""


class MemoryTree:
    """Files that are nowhere else."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.modes: dict[str, int] = {}
        self.directories = {"/"}

    def write(self, path: str, data: bytes, mode: int | None = None) -> None:
        """Make or overwrite a file; the directories above it come by themselves."""
        self.make_directory(str(PurePosixPath(path).parent))
        self.files[path] = data
        if mode is not None:
            self.modes[path] = mode

    def read(self, path: str) -> bytes | None:
        """A file's content."""
        return self.files.get(path)

    def has_directory(self, path: str) -> bool:
        """Whether it is there."""
        return path in self.directories

    def make_directory(self, path: str) -> None:
        """Make it, with those above it."""
        self.directories |= {path, *map(str, PurePosixPath(path).parents)}


class HostTree:
    """A bind: a directory of the host, or a single file."""

    def __init__(self, source: str) -> None:
        self._source = source

    def write(self, path: str, data: bytes, mode: int | None = None) -> None:
        """Make or overwrite a file."""
        place = self._path(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        if mode is not None:
            place.chmod(mode)

    def read(self, path: str) -> bytes | None:
        """A file's content."""
        place = self._path(path)
        return place.read_bytes() if place.is_file() and not place.is_symlink() else None

    def has_directory(self, path: str) -> bool:
        """Whether it is there."""
        return self._path(path).is_dir()

    def make_directory(self, path: str) -> None:
        """Make it, with those above it."""
        self._path(path).mkdir(parents=True, exist_ok=True)

    def _path(self, path: str) -> Path:
        return Path(self._source, path.lstrip("/")) if path != "/" else Path(self._source)


def place_of(mounts: Sequence[Mount], path: str) -> tuple[Mount | None, str]:
    """The mount that a path of a container lies in, None for its own files, and the path in there."""
    absolute = PurePosixPath("/", path)
    over = [mount for mount in mounts if mount.kind != "tmpfs" and absolute.is_relative_to(mount.target)]
    if not over:
        return None, str(absolute)
    nearest = max(over, key=lambda mount: len(PurePosixPath(mount.target).parts))
    return nearest, str(PurePosixPath("/", absolute.relative_to(nearest.target)))


def unpack(archive: bytes, directory: str, place: Callable[[str], tuple[FileTree, str]]) -> None:
    """Put a tar's directories and plain files where `place` says that their paths are."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            tree, inner = place(str(PurePosixPath(directory, member.name)))
            if member.isdir():
                tree.make_directory(inner)
            elif (content := tar.extractfile(member)) is not None:
                tree.write(inner, content.read(), member.mode)
