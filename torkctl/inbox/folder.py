"""The folder itself: what is in it, the content of a file that nobody is writing, and what is written beside it.

Invariants: a reader sees a note whole or not at all; no link leads out of the folder; nothing but plain files is opened.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import signal
import stat
import time
from pathlib import Path

from tork.definition.text import MAX_BYTES
from torkctl.inbox.names import Selection, shown
from torkctl.inbox.tracker import Signature

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW
_TEMPORARY_PREFIX, _TEMPORARY_SUFFIX = ".torkctl-", ".tmp"
_LEFTOVER_AGE_SECONDS = 3600.0


class StillWritten(Exception):
    """Somebody is writing the file."""


class OutOfFolder(OSError):
    """A link leads out of the folder: whoever may write here could have anything of this machine read."""


class Folder:
    """One folder. Names are relative to it."""

    def __init__(self, root: str, selection: Selection) -> None:
        self.root = Path(root)
        self._selection = selection
        self._leftovers: list[Path] = []

    def scan(self) -> dict[str, Signature]:
        """All job files. Raises `OSError` when the folder can't be listed."""
        found: dict[str, Signature] = {}
        self._leftovers = []
        waiting = [""]
        while waiting:
            folder = waiting.pop()
            try:
                waiting += self._scan_one(folder, found)
            except OSError:
                if not folder:
                    raise
        return found

    def _scan_one(self, folder: str, found: dict[str, Signature]) -> list[str]:
        inner: list[str] = []
        with os.scandir(self.path(folder)) as entries:
            for entry in entries:
                name = f"{folder}/{entry.name}" if folder else entry.name
                if self._selection.takes(name):
                    if signature := self.look(name):
                        found[name] = signature
                        continue
                elif entry.name.startswith(_TEMPORARY_PREFIX) and entry.name.endswith(_TEMPORARY_SUFFIX):
                    self._leftovers.append(Path(entry.path))
                if self._selection.recursive and entry.is_dir(follow_symlinks=False) and self._selection.enters(name):
                    inner.append(name)
        return inner

    def look(self, name: str) -> Signature | None:
        """How the file looks now; None when there is no plain file."""
        try:
            found = self.path(name).stat()
        except OSError:
            return None
        return _signature(found) if stat.S_ISREG(found.st_mode) else None

    def read(self, name: str, expected: Signature) -> bytes:
        """The content of the file that looks like that, or one byte more than is allowed. Raises `StillWritten` and `OSError`."""
        with os.fdopen(self._open(name), "rb") as file:
            if _signature(os.fstat(file.fileno())) != expected or _has_writer(file.fileno()):
                raise StillWritten
            content = file.read(MAX_BYTES + 1)
            if _signature(os.fstat(file.fileno())) != expected:
                raise StillWritten
        return content

    def has_beside(self, name: str, suffix: str) -> bool:
        """Whether there is such a note."""
        return os.path.lexists(self.path(name + suffix))

    def write_beside(self, name: str, suffix: str, content: bytes) -> None:
        """Write a note beside the file, in place of an earlier one. Raises `OSError`."""
        target = self.path(name + suffix)
        temporary = target.with_name(f"{_TEMPORARY_PREFIX}{secrets.token_hex(6)}{_TEMPORARY_SUFFIX}")
        try:
            temporary.write_bytes(content)
            temporary.replace(target)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise

    def remove_beside(self, name: str, suffix: str) -> None:
        """Remove a note, if there is one. Raises `OSError`."""
        if self.has_beside(name, suffix):  # a read-only disk refuses to remove what is not there, too
            self.path(name + suffix).unlink(missing_ok=True)

    def remove_leftovers(self) -> None:
        """Remove notes that somebody was killed over while writing them."""
        for path in self._leftovers:
            try:
                if time.time() - path.lstat().st_mtime > _LEFTOVER_AGE_SECONDS:
                    path.unlink()
            except OSError:
                continue  # it is nobody's, and in nobody's way

    def path(self, name: str) -> Path:
        """Where the file is."""
        return self.root / name

    def _open(self, name: str) -> int:
        try:
            return os.open(self.path(name), _FLAGS)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
        real = self.path(name).resolve()
        if not real.is_relative_to(self.root.resolve()):
            raise OutOfFolder(errno.EPERM, "it is a link that leads out of the folder (right would be the file itself)")
        return os.open(real, _FLAGS)


def identity_of(root: str) -> tuple[int, int] | None:
    """Which folder it is that the path leads to now, if it does."""
    try:
        found = Path(root).stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino)


def content_at(path: Path) -> tuple[bytes, int]:
    """The content of the plain file at a path, and when it was changed last. Raises `StillWritten` and `OSError`."""
    with os.fdopen(os.open(path, _FLAGS), "rb") as file:
        if _has_writer(file.fileno()):
            raise StillWritten
        return file.read(MAX_BYTES + 1), os.fstat(file.fileno()).st_mtime_ns


def reason(error: OSError) -> str:
    """What the system says of it, in a few words."""
    return error.strerror or str(error)


def unreadable(name: str, error: OSError) -> str:
    """The line about a file that can't be read."""
    return f"{shown(name)}: the file can't be read: {reason(error)}"


def _signature(found: os.stat_result) -> Signature:
    return Signature(found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _has_writer(descriptor: int) -> bool:
    """Whether somebody has the file open for writing, as far as the system tells: of our own files on local disks.

    A lease is only granted on a file that nobody writes.
    """
    if not hasattr(fcntl, "F_SETLEASE"):
        return False
    # a writer that comes in this moment makes the system send a signal: by default one that ends the process
    fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False
