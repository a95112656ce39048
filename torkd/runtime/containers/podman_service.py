"""Podman has no daemon: this starts its API service where none runs.

The service ends by itself when nobody has spoken to it for a minute, so a killed torkd leaves none behind; containers do not
depend on it.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from torkd.runtime.containers.differences import PODMAN
from torkd.runtime.containers.engine import EngineUnavailable

IDLE_SECONDS = 60
"""Heartbeats ask for the engine's health more often than that."""
_START_SECONDS = 20.0
_LOOK_SECONDS = 0.05
_MAX_SOCKET_PATH = 100

_LOG = logging.getLogger(__name__)


class PodmanService:
    """`podman system service` on a socket in a directory of ours; started again by whoever finds it gone."""

    def __init__(self, directory: Path, environ: Mapping[str, str]) -> None:
        self._environ = dict(environ)
        self._socket = directory / "podman.sock"
        if len(str(self._socket)) > _MAX_SOCKET_PATH:
            self._socket = Path(tempfile.gettempdir()) / f"torkd-podman-{os.getuid()}" / "podman.sock"
        self.place = f"unix://{self._socket}"

    def start(self) -> None:
        """Return when it answers. Raises `EngineUnavailable`."""
        if self._answers():
            return
        program = shutil.which("podman", path=self._environ.get("PATH"))
        if program is None:
            raise EngineUnavailable(f"podman is not installed ({PODMAN.advice})")
        try:
            self._socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with (self._socket.parent / "podman.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)  # several processes must not take the socket from each other
                if not self._answers():
                    self._launch(program)
        except OSError as error:
            raise EngineUnavailable(f"podman can't be started: {error}") from error

    def _launch(self, program: str) -> None:
        self._socket.unlink(missing_ok=True)
        log = self._socket.parent / "podman.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                (program, "system", "service", f"--time={IDLE_SECONDS}", self.place),
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self._socket.parent,  # its monitors leave a file named oom where they are
                start_new_session=True,
            )
        _LOG.info("started podman's service at %s", self.place)
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                process.wait()
                words = log.read_text(errors="replace").strip().splitlines()
                raise EngineUnavailable(
                    f"podman is not running: {words[-1] if words else 'its service does not start'}"
                )
            time.sleep(_LOOK_SECONDS)
        _reap_later(process)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1.0)
            try:
                connection.connect(str(self._socket))
            except OSError:
                return False
        return True


def _reap_later(process: subprocess.Popen[bytes]) -> None:
    """It outlives whoever waits for it, or ends idle; a thread spares us a zombie and a warning."""
    threading.Thread(target=process.wait, name="podman-service", daemon=True).start()
