"""Tells systemd how the daemon is (sd_notify). Without systemd every call does nothing."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import MutableMapping


class Notifier:
    """Takes the address out of the environment: neither gunicorn nor any task shall speak for the daemon."""

    def __init__(self, environ: MutableMapping[str, str] = os.environ) -> None:
        self._address = environ.pop("NOTIFY_SOCKET", "")
        microseconds = environ.pop("WATCHDOG_USEC", "")
        of_process = environ.pop("WATCHDOG_PID", "") or str(os.getpid())
        is_watched = microseconds.isdigit() and of_process == str(os.getpid())
        self._watchdog_seconds = int(microseconds) / 1e6 / 3 if is_watched else 0.0
        self._watched_at = float("-inf")

    def ready(self) -> None:
        """Requests are answered from now on."""
        self.send("READY=1")

    def stopping(self) -> None:
        """The daemon is on its way out."""
        self.send("STOPPING=1")

    def alive(self) -> None:
        """Feed the watchdog, if there is one and it is time."""
        now = time.monotonic()
        if self._watchdog_seconds and now - self._watched_at >= self._watchdog_seconds:
            self._watched_at = now
            self.send("WATCHDOG=1")

    def send(self, state: str) -> None:
        """Send one state. A systemd that does not listen is no reason to fail."""
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
                channel.connect(address)
                channel.send(state.encode())
        except OSError:
            pass
