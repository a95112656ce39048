"""Ends PostgreSQL processes whose keeper was killed, before their data are opened again.

Only the holder of the directory's lock may call this: then whatever still works on the data has no owner. Processes
are recognised by name and working directory (each of them works in the data directory), never by a number in a file
alone: after a reboot that number may be anybody's, and a session outlives its killed server for a moment.
"""

from __future__ import annotations

import logging
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tork.errors import StartError

if TYPE_CHECKING:
    import psutil

logger = logging.getLogger(__name__)

STEPS = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0))
"""Fast stop, immediate stop, kill; and the seconds each may take."""
POLL_SECONDS = 0.01


def end(data: Path) -> None:
    """Return when no PostgreSQL process works in `data`. The pid file is removed if it names a process that isn't one."""
    pid_file = data / "postmaster.pid"
    if not pid_file.exists():
        return  # an orderly end removes it as the last thing
    for number, seconds in STEPS:
        running = _working_in(data)
        if not running:
            break
        logger.warning("ending the PostgreSQL that a killed torkd left behind in %s", data)
        for process in _to_signal(running, pid_file):
            _send(process, number)
        until = time.monotonic() + seconds
        while _working_in(data) and time.monotonic() < until:
            time.sleep(POLL_SECONDS)
    if _working_in(data):
        raise StartError(
            f"PostgreSQL processes of an earlier run still use {data} and can't be ended: end them by hand"
        )
    pid_file.unlink(missing_ok=True)


def _to_signal(running: list[psutil.Process], pid_file: Path) -> list[psutil.Process]:
    """The server, which ends its sessions; without it, the sessions."""
    try:
        server = int(pid_file.read_text().splitlines()[0])
    except (OSError, ValueError, IndexError):
        return running
    return [process for process in running if process.pid == server] or running


def _send(process: psutil.Process, number: signal.Signals) -> None:
    import psutil

    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


def _working_in(data: Path) -> list[psutil.Process]:
    import psutil  # needed after a crash only, and slow to load

    found = []
    place = str(data.resolve())
    for process in psutil.process_iter():
        try:
            if process.name() == "postgres" and process.cwd() == place:
                found.append(process)
        except (psutil.AccessDenied, psutil.NoSuchProcess):
            continue  # not one of ours, or already gone
    return found
