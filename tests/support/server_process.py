"""Starting and stopping the server in a keeper's directory."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

PID_FILE, LOG_FILE = "server.pid", "server.log"
START_SECONDS = 100.0
"""Ten are usual for RabbitMQ on two busy cores."""
STOP_SECONDS = 10.0


def start_server(
    base: Path, command: Sequence[str], *, ready: Callable[[], bool], env: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start it, note its process id, and return once it is ready. `env` is added to the environment."""
    with (base / LOG_FILE).open("ab") as log:
        process = subprocess.Popen(
            command, cwd=base, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    (base / PID_FILE).write_text(str(process.pid))
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        if process.poll() is not None:
            raise RuntimeError(f"{command[0]} ended with {process.returncode}; {_end_of_log(base)}")
        if time.monotonic() > deadline:
            raise RuntimeError(f"{command[0]} is not ready after {START_SECONDS} seconds; {_end_of_log(base)}")
        time.sleep(0.02)
    return process


def _end_of_log(base: Path) -> str:
    """The files are gone when somebody reads of it."""
    lines = (base / LOG_FILE).read_text(errors="replace").splitlines()
    return f"the end of {base / LOG_FILE}:\n" + "\n".join(lines[-60:])


def stop_server(base: Path) -> None:
    """TERM, and wait a while; what does not end then is killed with everything else. One that is gone is no matter."""
    try:
        process = psutil.Process(int((base / PID_FILE).read_text()))
        if str(base) in " ".join(process.cmdline()):
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=STOP_SECONDS)
    except (OSError, ValueError, psutil.Error):
        return
