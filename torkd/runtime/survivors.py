"""Finds processes by what they hold or inherited, to end what outlives its task. Works where there is a `/proc`."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

_PROC = Path("/proc")


def signal_holders_of(pipe_fd: int, number: signal.Signals, *, outside_group: int | None = None) -> None:
    """Signal every other process that holds only the writing end of this pipe, perhaps only those outside a group.

    Who holds the reading end, too, is a child of ours that has not become another program yet: it has all our files open,
    and is the beginning of some other script.
    """
    try:
        pipe = (_PROC / "self" / "fd" / str(pipe_fd)).readlink()
    except OSError:
        return
    for pid in _other_processes():
        if _only_writes_to(pid, pipe) and (outside_group is None or _group(pid) != outside_group):
            _signal(pid, number)


def heirs_of(variable: str, prefix: str) -> Iterator[int]:
    """Every other process in whose environment the variable starts with this prefix."""
    wanted = f"{variable}={prefix}".encode()
    for pid in _other_processes():
        if any(entry.startswith(wanted) for entry in _environment(pid)):
            yield pid


def kill_heirs_of(variable: str, prefix: str) -> int:
    """Kill every other process in whose environment the variable starts with this prefix, and its session. How many."""
    own_session = os.getsid(0)
    killed = 0
    sessions: set[int] = set()
    for pid in heirs_of(variable, prefix):
        sessions.add(_session(pid))
        killed += _signal(pid, signal.SIGKILL)
    sessions -= {own_session, 0}
    if sessions:
        killed += sum(_signal(pid, signal.SIGKILL) for pid in _other_processes() if _session(pid) in sessions)
    return killed


def _other_processes() -> Iterator[int]:
    own = os.getpid()
    try:
        names = [entry.name for entry in _PROC.iterdir()]
    except OSError:
        return
    for name in names:
        if name.isdigit() and int(name) not in {own, 1}:
            yield int(name)


def _only_writes_to(pid: int, pipe: Path) -> bool:
    writes = False
    try:
        entries = list((_PROC / str(pid) / "fd").iterdir())
    except OSError:
        return False  # it ended, or is not ours to look at
    for entry in entries:
        try:
            if entry.readlink() != pipe:
                continue
            if entry.lstat().st_mode & stat.S_IRUSR:  # the link's mode says how the file was opened
                return False
        except OSError:
            continue  # it was closed just now
        writes = True
    return writes


def _environment(pid: int) -> list[bytes]:
    try:
        return (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return []


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return 0


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except OSError:
        return 0


def _signal(pid: int, number: signal.Signals) -> int:
    try:
        os.kill(pid, number)
    except OSError:
        return 0
    return 1
