"""The directories tasks work in: one for each start of a daemon, in it one for each step of a run.

Making and removing a directory costs more than all the rest of a short step (on ext4, up to milliseconds), so a directory
that a step leaves exactly as it found it, empty and with the same rights, serves again.

The daemon holds a lock on its directory while it lives. A directory whose lock is free belongs to a daemon that was killed:
its processes are ended and it is removed, before this daemon takes its first task.
"""

from __future__ import annotations

import fcntl
import itertools
import logging
import os
import shutil
import stat
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

from tork.errors import RuntimeFailure
from torkd.runtime.identity import Identity
from torkd.runtime.survivors import heirs_of, kill_heirs_of

PREFIX = "torkd-work-"
_MARK = ".torkd-work-area"
"""Only a directory with this file in it is ever removed as a leftover, whatever else is called like ours."""

_LOG = logging.getLogger(__name__)


class WorkArea:
    """The directory of this daemon. Made when constructed, removed by `close`."""

    def __init__(self, base: Path, node_id: str, identity: Identity) -> None:
        self._identity = identity
        self._free: list[Path] = []
        self._numbers = itertools.count(1)
        try:
            self.path, self._lock_fd = _make_locked(base.resolve(), f"{PREFIX}{_safe(node_id)}-")
        except OSError as error:
            raise RuntimeFailure(
                f"no work directory can be made in {base}: {error.strerror} (right would be a directory that "
                "torkd may write to; the setting is mounts.temp.dir)"
            ) from error
        if identity.is_switch:
            self.path.chmod(0o711)

    def take(self) -> Path:
        """An empty directory that belongs to the scripts' user and to nobody else. Raises `OSError`."""
        try:
            return self._free.pop()
        except IndexError:  # all are in use
            path = self.path / str(next(self._numbers))
        path.mkdir(mode=0o700)
        self._identity.give(path)
        return path

    def give_back(self, path: Path) -> None:
        """Nothing runs in it any more. What is left in it is removed."""
        try:
            status = path.lstat()
            is_clean = (
                stat.S_ISDIR(status.st_mode) and stat.S_IMODE(status.st_mode) == 0o700 and not any(path.iterdir())
            )
        except OSError:
            is_clean = False
        if is_clean and self._identity.owns(status):
            self._free.append(path)
        else:
            remove_tree(path)

    def close(self) -> None:
        """Remove the directory. No task runs."""
        remove_tree(self.path)
        os.close(self._lock_fd)


def reap_leftovers(base: Path) -> int:
    """End the tasks of daemons that were killed and remove their directories. How many directories."""
    return sum(_reap(path) for path in _candidates(base))


def leftovers(base: Path) -> dict[Path, list[int]]:
    """The directories of daemons that were killed, with the processes of their tasks that still run."""
    found = {}
    for path in _candidates(base):
        lock_fd = _lock_leftover(path)
        if lock_fd is not None:
            os.close(lock_fd)
            found[path] = list(_heirs(path))
    return found


def _candidates(base: Path) -> list[Path]:
    try:
        entries = [entry for entry in os.scandir(base) if entry.name.startswith(PREFIX)]
    except OSError:
        return []
    return [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]


def _heirs(path: Path) -> Iterator[int]:
    return heirs_of("WORKDIR", f"{path.resolve()}/")


def remove_tree(path: Path) -> None:
    """Remove a directory with all that tasks may have done to it. What can't be removed is logged and left."""
    try:
        shutil.rmtree(path)
    except (OSError, RecursionError):
        _remove_step_by_step(path)
        if path.exists():
            _LOG.warning("the work directory %s could not be removed", path)


def _remove_step_by_step(top: Path) -> None:
    """Without recursion and without long paths: a task may nest directories deeper than either can go.

    Each directory is emptied of what is no directory, and its directories are moved up beside it before they are entered,
    so that no path is longer than two names below the top.
    """
    prefix, numbers = uuid.uuid4().hex, itertools.count()
    waiting = [top]
    emptied: list[Path] = []
    while waiting:
        directory = waiting.pop()
        emptied.append(directory)
        try:
            directory.chmod(0o700)
            entries = list(os.scandir(directory))
        except OSError as error:
            _LOG.debug("%s can't be read: %s", directory, error)
            continue
        for entry in entries:
            try:
                if not entry.is_dir(follow_symlinks=False):
                    Path(entry.path).unlink()
                elif directory == top:
                    waiting.append(Path(entry.path))
                else:
                    Path(entry.path).chmod(0o700)
                    waiting.append(Path(entry.path).rename(top / f"{prefix}-{next(numbers)}"))
            except OSError as error:
                _LOG.debug("%s can't be removed: %s", entry.path, error)
    for directory in reversed(emptied):
        try:
            directory.rmdir()
        except OSError as error:
            _LOG.debug("%s can't be removed: %s", directory, error)


def _make_locked(base: Path, prefix: str) -> tuple[Path, int]:
    """A new directory and the descriptor that locks it. It is marked last: nobody removes it before it is locked."""
    path = Path(tempfile.mkdtemp(prefix=prefix, dir=base))
    lock_fd = _open_directory(path)
    fcntl.flock(lock_fd, fcntl.LOCK_EX)  # cleaners of /tmp leave a locked directory alone, too
    (path / _MARK).touch()
    return path, lock_fd


def _open_directory(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def _lock_leftover(path: Path) -> int | None:
    """Lock a marked directory of our own that nobody holds; None for any other."""
    try:
        lock_fd = _open_directory(path)
    except OSError:
        return None
    try:
        fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(lock_fd).st_uid == os.geteuid() and (path / _MARK).is_file():
            return lock_fd
    except OSError:
        _LOG.debug("%s is in use", path)
    os.close(lock_fd)
    return None


def _reap(path: Path) -> bool:
    lock_fd = _lock_leftover(path)
    if lock_fd is None:
        return False
    try:
        killed = kill_heirs_of("WORKDIR", f"{path.resolve()}/")
        if killed:
            _LOG.warning("ended %d processes that a killed daemon left in %s", killed, path)
        remove_tree(path)
    finally:
        os.close(lock_fd)
    return True


def _safe(node_id: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in node_id)[:40]
