"""Memory that was freed goes back to the system: for every process that serves.

glibc keeps an arena for each few threads, and after the first large block it serves such blocks from them as well: what one
burst of large answers took would stay with the process for good.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8
# of glibc's malloc.h
_LARGE = 256 * 1024
"""Blocks of this size are the system's again when they are freed."""
_ARENAS = 2


def keep_little_freed_memory() -> None:
    """To be called before threads are started."""
    mallopt = _of_c_library("mallopt")
    mallopt(_M_MMAP_THRESHOLD, _LARGE)
    mallopt(_M_ARENA_MAX, _ARENAS)


def give_back_freed_memory() -> None:
    """Smaller blocks too. Takes milliseconds, in which other threads go on."""
    _of_c_library("malloc_trim")(0)


def _of_c_library(name: str) -> Callable[..., Any]:
    """Does nothing where the library is not glibc."""
    found: Callable[..., Any] = getattr(ctypes.CDLL(None), name, lambda *_: 0)
    return found
