"""Which paths of the host a task may mount. Default deny: without a list nothing is allowed.

What counts is where a path really leads. The engine is given that real path, every level of which was entered without
following a link, so neither `..` nor a link helps anybody to leave what is allowed.
"""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from collections.abc import Sequence
from dataclasses import dataclass

from tork.errors import RuntimeFailure

_OPEN_LEVEL = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_ENTER_LEVEL = getattr(os, "O_PATH", os.O_RDONLY | os.O_NONBLOCK) | os.O_NOFOLLOW | os.O_CLOEXEC
"""Entering needs no right to read, where the system has O_PATH."""
MODE_OF_SOURCES = 0o707
_MODE_OF_PARENTS = 0o755
"""Of levels above an allowed path that was missing itself."""


@dataclass(frozen=True, slots=True)
class BindSource:
    """A path that may be mounted."""

    path: str
    """What the engine is to mount: the real path, or the normalised text for an engine on another host."""
    created: tuple[str, ...] = ()
    """The directories that were missing and have been made, the outermost first."""


@dataclass(frozen=True, slots=True)
class BindRules:
    """The operator's settings `mounts.bind.allowed` and `mounts.bind.sources`."""

    allowed: bool
    sources: Sequence[str]
    """Absolute paths; each allows itself and all below it."""

    def check(self, source: str, *, on_this_host: bool) -> BindSource:
        """The source to give to the engine, made if it is a missing directory. Raises `RuntimeFailure` when it is not allowed.

        Of an engine on another host only the text can be checked, and nothing is made.
        """
        if not self.allowed:
            raise RuntimeFailure(
                "bind mounts are not allowed (right would be type volume, or on the worker mounts.bind.allowed "
                "and the path in mounts.bind.sources)"
            )
        if not source:
            raise RuntimeFailure("bind source is required (right would be a path of the host, such as /srv/data)")
        if not _is_usable(source):
            raise RuntimeFailure(f"src bind mount is not allowed: {source!r} (right would be an absolute path)")
        resolve = os.path.realpath if on_this_host else normalise_path
        real = resolve(source)
        entry = self._entry_of(real, [resolve(entry) for entry in self.sources if _is_usable(entry)])
        if entry is None:
            raise _refusal(source)
        if not on_this_host:
            return BindSource(real)
        return BindSource(real, _enter(source, real, entry))

    def _entry_of(self, real: str, entries: Sequence[str]) -> str | None:
        return next((entry for entry in entries if is_at_or_below(real, entry)), None)


def normalise_path(path: str) -> str:
    """An absolute path without `..`, `.` and double slashes, by its text alone."""
    return posixpath.normpath("/" + path.lstrip("/"))


def is_at_or_below(path: str, top: str) -> bool:
    """Whether a normalised path is `top` or lies below it."""
    return path == top or path.startswith(f"{top.rstrip('/')}/")


def _is_usable(path: str) -> bool:
    try:
        return path.startswith("/") and b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        return False


def _refusal(source: str) -> RuntimeFailure:
    return RuntimeFailure(
        f"src bind mount is not allowed: {source} (right would be a path at or below one of mounts.bind.sources)"
    )


def _enter(source: str, real: str, entry: str) -> tuple[str, ...]:
    """Go down level by level and make what is missing; a link on the way was put there after the path was resolved."""
    created: list[str] = []
    level, names = "", real.strip("/").split("/") if real != "/" else []
    fd = os.open("/", _ENTER_LEVEL | os.O_DIRECTORY)
    try:
        for name in names:
            level = f"{level}/{name}"
            mode = MODE_OF_SOURCES if is_at_or_below(level, entry) else _MODE_OF_PARENTS
            inner = _open_or_make(fd, name, level, mode, created)
            os.close(fd)
            fd = inner
            if stat.S_ISLNK(os.fstat(fd).st_mode):
                raise _refusal(source)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _refusal(source) from error
        raise RuntimeFailure(
            f"bind source {source} can't be used: {error.strerror} at {level} "
            "(right would be a path that torkd may enter or make)"
        ) from error
    finally:
        os.close(fd)
    return tuple(created)


def _open_or_make(parent: int, name: str, level: str, mode: int, created: list[str]) -> int:
    try:
        return os.open(name, _ENTER_LEVEL, dir_fd=parent)
    except FileNotFoundError:
        pass
    try:
        os.mkdir(name, 0o700, dir_fd=parent)
    except FileExistsError:  # somebody else was faster: it is theirs
        return os.open(name, _ENTER_LEVEL, dir_fd=parent)
    fd = os.open(name, _OPEN_LEVEL | os.O_DIRECTORY, dir_fd=parent)
    try:
        os.fchmod(fd, mode)  # mkdir takes the umask off
    except BaseException:
        os.close(fd)
        raise
    created.append(level)
    return fd
