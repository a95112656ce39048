"""The process that keeps one server of a test run: `python -m tests.support.engine_keeper KIND DIRECTORY`.

It starts the server, waits until nobody uses it any more, and leaves nothing: no process, mount, bridge or file.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import traceback
from pathlib import Path

import psutil

from tests.support import docker_engine, podman_engine, rabbitmq, registry
from tests.support.engines import FAILED, READY, USERS, place

KINDS = {
    "docker": (docker_engine.start, docker_engine.end),
    "podman": (podman_engine.start, podman_engine.end),
    "registry": (registry.start, registry.end),
    "rabbitmq": (rabbitmq.start, rabbitmq.end),
}
"""How each is started, and what is to be undone of it outside of its directory, whether it runs or was killed."""


def keep(kind: str, base: Path) -> None:
    """Run the server of this kind in this directory, as long as somebody uses it."""
    sweep_leftovers()
    start, _ = KINDS[kind]
    try:
        start(base)
        (base / READY).touch()
    except Exception:  # noqa: BLE001 -- whoever waits has to be told
        traceback.print_exc()
        (base / FAILED).touch()
    with (base / USERS).open() as users:
        fcntl.flock(users, fcntl.LOCK_EX)
        remove(kind, base)


def sweep_leftovers() -> None:
    """Remove what killed keepers left: directories that nobody uses."""
    for base in place().iterdir():
        kind = base.name.partition("-")[0]
        if not (base / USERS).exists() or kind not in KINDS:
            continue
        with (base / USERS).open() as users:
            try:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            if not _other_keepers(base):
                remove(kind, base)


def remove(kind: str, base: Path) -> None:
    """End all of a server, which may be dead already."""
    try:
        KINDS[kind][1](base)
    except Exception:  # noqa: BLE001 -- the rest still has to go
        traceback.print_exc()
    _kill_processes(base)
    _unmount(base)
    shutil.rmtree(base, ignore_errors=True)
    lock = base.parent / f"{base.name.rpartition('-')[0]}.lock"
    lock.unlink(missing_ok=True)


def _other_keepers(base: Path) -> list[psutil.Process]:
    return [process for process in _mentioning(base) if "tests.support.engine_keeper" in process.cmdline()]


def _mentioning(base: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and str(base) in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def _kill_processes(base: Path) -> None:
    """Also children that don't mention it: what runs in the containers."""
    doomed: dict[int, psutil.Process] = {}
    for process in _mentioning(base):
        try:
            for one in (process, *process.children(recursive=True)):
                doomed[one.pid] = one
        except psutil.Error:
            continue
    for process in doomed.values():
        try:
            process.send_signal(signal.SIGKILL)
        except psutil.Error:
            continue
    psutil.wait_procs(list(doomed.values()), timeout=10)


def _unmount(base: Path) -> None:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    places = [line.split()[4] for line in lines]
    for mounted in reversed([spot for spot in places if spot.startswith(f"{base}/")]):
        subprocess.run(["umount", "--lazy", mounted], check=False)


def _leave_the_starter() -> None:
    """Nobody has to wait for us."""
    if os.fork():
        os._exit(0)
    os.setsid()


if __name__ == "__main__":
    _leave_the_starter()
    keep(sys.argv[1], Path(sys.argv[2]))
