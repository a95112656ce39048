"""Reading files that a task had its hands on: what it left in their place is never followed elsewhere.

The daemon may be root while the task is not, so links, pipes and devices read as nothing.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable

from tork.errors import RuntimeFailure

MAX_RESULT_SIZE = 1024 * 1024
MAX_PROGRESS_SIZE = 64


def read_plain_file(
    path: str, limit: int, is_trusted: Callable[[os.stat_result], bool] = lambda _: True
) -> tuple[bytes, int]:
    """At most `limit` bytes and the size; nothing for what is not a plain file that the caller trusts."""
    try:
        fd = _open_plain_file(path)
    except OSError:
        return b"", 0
    try:
        status = os.fstat(fd)
        if status.st_size == 0 or not stat.S_ISREG(status.st_mode) or not is_trusted(status):
            return b"", 0
        return os.read(fd, limit), status.st_size
    finally:
        os.close(fd)


def _open_plain_file(path: str) -> int:
    """Opening is an act already: a watchdog's device, once opened, reboots the machine. So it is looked at before."""
    path_only = getattr(os, "O_PATH", 0)
    if not path_only:  # not Linux, where a container can't put devices into directories of ours
        if not stat.S_ISREG(os.lstat(path).st_mode):
            raise OSError(errno.EINVAL, "not a plain file", path)
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    seen = os.open(path, path_only | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(seen).st_mode):
            raise OSError(errno.EINVAL, "not a plain file", path)
        return os.open(f"/proc/self/fd/{seen}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(seen)


def result_text(data: bytes, size: int) -> str:
    """What a task wrote to its output, without NUL. Raises `RuntimeFailure` when it is too much."""
    if size > MAX_RESULT_SIZE:
        raise RuntimeFailure(
            f"the output is too large: {size} bytes in TORK_OUTPUT (right would be at most {MAX_RESULT_SIZE})"
        )
    return data.decode("utf-8", "replace").replace("\0", "")


def progress_number(data: bytes) -> float | None:
    """The progress a task told, None when it told none that is a number."""
    try:
        return float(data) if data.strip() else None
    except ValueError:
        return None
