"""Finds processes by what they hold or inherited, to end what outlives its task. Works where there is a `/proc`."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

_PROC = Path("/proc")


def signal_holders_of(pipe_fd: int, number: signal.Signals, *, outside_group: int | None = None) -> None:
    """Signal every other process that has the other end of this pipe open, perhaps only those outside a group."""
    try:
        pipe = (_PROC / "self" / "fd" / str(pipe_fd)).readlink()
    except OSError:
        return
    for pid in _other_processes():
        if pipe in _open_files(pid) and (outside_group is None or _group(pid) != outside_group):
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


def _open_files(pid: int) -> set[Path]:
    found = set()
    try:
        for entry in (_PROC / str(pid) / "fd").iterdir():
            found.add(entry.readlink())
    except OSError:
        return found  # it ended, or is not ours to look at
    return found


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
