"""Who uses a data directory: an flock on `<base>/lock`, shared by starter and keeper, so that it ends with the last of them.

The file's text is the process id of the starter, for the sentence that refuses a second one. The kernel drops the lock
with its holders; no file left behind by a crash ever blocks a start.
"""

from __future__ import annotations

import fcntl
import os
import time
from dataclasses import dataclass
from pathlib import Path

from tork.errors import StartError

WRITING_SECONDS = 2.0
"""How long the holder may be unknown: it is about to write its number, is ending, or only looks at the lock."""
LEAVING_SECONDS = 60.0
"""How long a directory is waited for whose starter is gone: its keeper is stopping the server, or initdb is ending."""
POLL_SECONDS = 0.02


class DirectoryInUse(StartError):
    """Another process owns the data directory."""


@dataclass(kw_only=True)
class Lock:
    """A lock held by every process that has this descriptor."""

    descriptor: int

    def release(self) -> None:
        """Unlock for all holders."""
        if self.descriptor >= 0:
            os.ftruncate(self.descriptor, 0)
            fcntl.flock(self.descriptor, fcntl.LOCK_UN)
            self.close()

    def abandon(self) -> None:
        """Give up our share and our name, so that who comes next waits for the other holders to end."""
        if self.descriptor >= 0:
            os.ftruncate(self.descriptor, 0)
            self.close()

    def close(self) -> None:
        """Give up our share of it."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def take(path: Path) -> Lock:
    """Lock `path`, waiting only for one whose starter is dead. DirectoryInUse names the living one."""
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        began = time.monotonic()
        while not _try(descriptor):
            holder = _holder(descriptor)
            patience = WRITING_SECONDS if holder is None else 0.0 if _is_alive(holder) else LEAVING_SECONDS
            if time.monotonic() - began > patience:
                raise DirectoryInUse(
                    f"{path.parent} is in use by another torkd (process {holder or 'unknown'}): "
                    "stop that one, or set data.dir (TORK_DATA_DIR) to another directory"
                )
            time.sleep(POLL_SECONDS)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except BaseException:
        os.close(descriptor)
        raise
    return Lock(descriptor=descriptor)


def is_taken(path: Path) -> bool:
    """Whether somebody holds the lock now. One we may not open counts as taken."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except PermissionError:
        return True
    try:
        return not _try(descriptor)
    finally:
        os.close(descriptor)


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(descriptor: int) -> int | None:
    text = os.pread(descriptor, 32, 0).strip()
    return int(text) if text.isdigit() else None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
